// Streams: however the bytes are cut, the answer is the same; a complete push/pull has the nodes that it promises;
// under encryption and a label the same comes out as without.
#include <vector>

#include "base/check.h"
#include "security.h"
#include "target.h"
#include "wire/stream.h"

namespace {

using namespace shoal;
using Memory = std::vector<std::uint8_t>;
using wire::StreamStatus;

std::size_t nodes_of(const wire::StreamReader& reader) {
  std::size_t nodes = 0;
  reader.for_each_node([&](const wire::NodeState&) { ++nodes; });
  return nodes;
}

class Silent final : public wire::SerfStateVisitor {
 public:
  void on_clocks(const wire::SerfStateClocks&) override {}
  void on_status(std::string_view, std::uint64_t, bool) override {}
  void on_event(const wire::UserEvent&) override {}
};

fuzz::Secrets& secrets() {
  static fuzz::Secrets out;
  return out;
}

/// Pieces of `step` bytes; each is decrypted where it lies, so they are copied.
StreamStatus in_pieces(wire::StreamReader& reader, Memory& bytes, std::size_t step) {
  StreamStatus last = reader.advance_in_place(MutableBytes(bytes).first(0));
  for (std::size_t have = 0; have < bytes.size() && last == StreamStatus::kIncomplete;) {
    have = std::min(bytes.size(), have + step);
    last = reader.advance_in_place(MutableBytes(bytes).first(have));
  }
  return last;
}

void same_content(const wire::StreamReader& a, const wire::StreamReader& b) {
  SHOAL_ASSERT(a.type() == b.type() && same_bytes(a.body(), b.body()));
  if (a.type() != wire::MessageType::kPushPull) return;
  SHOAL_ASSERT(nodes_of(a) == a.header().nodes && nodes_of(b) == a.header().nodes);
  SHOAL_ASSERT(same_bytes(a.user_state(), b.user_state()));
}

void under(std::string_view label, Bytes plain, StreamStatus status, const wire::StreamReader& reader) {
  static Memory scratch(16 * 1024);
  const wire::Security security = secrets().with(label);
  Memory stream(512);
  ByteWriter front(stream);
  wire::put_label(front, label);
  const std::size_t label_size = front.size();
  front.u8(static_cast<std::uint8_t>(wire::MessageType::kEncrypt));
  front.u32(static_cast<std::uint32_t>(plain.size() + wire::kSealOverheadBytes));
  stream.resize(front.size());
  Memory aad(stream.begin() + static_cast<std::ptrdiff_t>(label_size), stream.end());
  aad.insert(aad.end(), label.begin(), label.end());
  const Memory sealed = secrets().seal(plain, aad, plain.size() % 3 == 0);
  stream.insert(stream.end(), sealed.begin(), sealed.end());
  const Memory whole = stream;
  wire::StreamReader pieces(scratch, security);
  const StreamStatus got = in_pieces(pieces, stream, 1 + plain[0]);
  if (status == StreamStatus::kComplete) {
    SHOAL_ASSERT(got == StreamStatus::kComplete);
    same_content(reader, pieces);
  } else {
    SHOAL_ASSERT(got != StreamStatus::kComplete && got != StreamStatus::kBadKey);
  }
  Memory damaged = whole;
  damaged[plain[0] % damaged.size()] ^= 0x20;
  wire::StreamReader no(scratch, security);
  SHOAL_ASSERT(in_pieces(no, damaged, damaged.size()) != StreamStatus::kComplete);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes bytes(data, size);
  static Memory scratch(16 * 1024), other(16 * 1024);
  wire::StreamReader whole(scratch);
  const StreamStatus status = whole.advance(bytes);
  SHOAL_ASSERT(wire::to_text(status).empty() ==
               (status == StreamStatus::kIncomplete || status == StreamStatus::kComplete));

  for (const std::size_t step : {std::size_t{1}, std::size_t{7}}) {
    Memory copy(bytes.begin(), bytes.end());
    wire::StreamReader pieces(other);
    SHOAL_ASSERT(in_pieces(pieces, copy, step) == status);
    if (status == StreamStatus::kComplete) same_content(whole, pieces);
  }
  if (size > 0) {
    under("", bytes, status, whole);
    under("lan", bytes, status, whole);
  }
  Memory copy(bytes.begin(), bytes.end());
  wire::StreamReader keyed(other, secrets().with(""), wire::StreamSide::kAcceptor);
  SHOAL_ASSERT(keyed.advance_in_place(copy) != StreamStatus::kComplete);
  if (status != StreamStatus::kComplete || whole.type() != wire::MessageType::kPushPull) return 0;
  Silent visitor;
  (void)wire::read_serf_state(whole.user_state(), visitor);
  return 0;
}
