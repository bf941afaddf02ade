// msgpack: any order of reads stays inside the input, a scanner that gets the bytes in pieces finds the same end as one
// that gets them whole, and what is written reads back.
#include <array>
#include <vector>

#include "base/check.h"
#include "input.h"
#include "target.h"
#include "wire/msgpack.h"

namespace {

using namespace shoal;
using wire::msgpack::ObjectScanner;
using wire::msgpack::Reader;
using wire::msgpack::ScanStatus;

bool inside(Bytes part, Bytes whole) {
  return part.empty() || (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

void scan(Bytes object, std::size_t limit, std::size_t step) {
  ObjectScanner whole;
  const ScanStatus status = whole.advance(object, limit);
  ObjectScanner pieces;
  ScanStatus last = ScanStatus::kIncomplete;
  for (std::size_t have = 0; last == ScanStatus::kIncomplete && have < object.size();) {
    have = std::min(object.size(), have + step);
    last = pieces.advance(object.first(have), limit);
  }
  SHOAL_ASSERT(last == status);
  if (status != ScanStatus::kComplete) return;
  SHOAL_ASSERT(whole.size() == pieces.size());
  SHOAL_ASSERT(whole.size() > 0 && whole.size() <= object.size() && whole.size() <= limit);
  // The reader, which has its own way of skipping, agrees.
  Reader reader(object);
  const Bytes skipped = reader.skip();
  SHOAL_ASSERT(!reader.ok() || skipped.size() == whole.size());
}

void read(fuzz::Input& plan, Bytes object) {
  Reader in(object);
  for (int step = 0; step < 64; ++step) {
    const std::size_t left = in.left();
    switch (plan.u8() % 9) {
      case 0: {
        const std::uint64_t most = plan.flag() ? 0xffff : ~std::uint64_t{0};
        SHOAL_ASSERT(in.read_uint(most) <= most);
        break;
      }
      case 1: (void)in.read_int(); break;
      case 2: (void)in.read_bool(); break;
      case 3: SHOAL_ASSERT(inside(as_bytes(in.read_text()), object)); break;
      case 4: SHOAL_ASSERT(inside(in.read_bytes(), object)); break;
      case 5: SHOAL_ASSERT(in.read_array() <= in.left()); break;
      case 6: SHOAL_ASSERT(in.read_map() <= in.left()); break;
      case 7: SHOAL_ASSERT(inside(in.skip(), object)); break;
      default: {
        static constexpr std::array<std::string_view, 3> kNames = {"Node", "SeqNo", "Addr"};
        wire::msgpack::read_struct(in, kNames, [&](std::uint32_t field) {
          SHOAL_ASSERT(field < kNames.size());
          if (field == 0) (void)in.read_text();
          if (field == 1) (void)in.read_uint<std::uint32_t>();
          if (field == 2) (void)in.read_bytes();
        });
      }
    }
    SHOAL_ASSERT(in.left() <= left);
    if (!in.ok()) {
      SHOAL_ASSERT(in.left() == 0 && in.read_text().empty() && in.read_uint(100) == 0);
      return;
    }
  }
}

void write_and_read(fuzz::Input& plan) {
  std::vector<std::uint8_t> memory(1024);
  ByteWriter out(memory);
  const std::uint64_t number = plan.u64();
  const std::int64_t integer = static_cast<std::int64_t>(plan.u64());
  const bool flag = plan.flag();
  const std::string text = fuzz::copy_of(plan.short_bytes());
  wire::msgpack::put_uint(out, number);
  wire::msgpack::put_int(out, integer);
  wire::msgpack::put_bool(out, flag);
  wire::msgpack::put_text(out, text);
  wire::msgpack::put_bytes(out, as_bytes(text));
  SHOAL_ASSERT(out.ok());
  Reader in(out.written());
  SHOAL_ASSERT(in.read_uint<std::uint64_t>() == number);
  SHOAL_ASSERT(in.read_int() == integer);
  SHOAL_ASSERT(in.read_bool() == flag);
  SHOAL_ASSERT(in.read_text() == text);
  SHOAL_ASSERT(same_bytes(in.read_bytes(), as_bytes(text)));
  SHOAL_ASSERT(in.ok() && in.left() == 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // The object as it stands, so that captured packets are good seeds; its end again as the plan of the reads.
  const Bytes object(data, size);
  if (size == 0) return 0;
  scan(object, size, 1);
  scan(object, size / 2, 3);
  fuzz::Input plan(data + size - std::min<std::size_t>(size, 64), std::min<std::size_t>(size, 64));
  read(plan, object);
  if (size > 1) read(plan, object.subspan(1));
  fuzz::Input numbers(data, size);
  write_and_read(numbers);
  return 0;
}
