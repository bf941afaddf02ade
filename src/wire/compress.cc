#include "wire/compress.h"

#include <array>
#include <cstring>

#include "base/check.h"
#include "wire/lzw.h"
#include "wire/messages.h"
#include "wire/msgpack.h"

namespace shoal::wire {

bool decode_compressed(Bytes body, Bytes& packed) {
  static constexpr std::array<std::string_view, 2> kNames = {"Algo", "Buf"};
  msgpack::Reader in(body);
  std::uint8_t algorithm = 0;
  packed = {};
  if (body.empty()) return false;
  msgpack::read_struct(in, kNames, [&](std::uint32_t field) {
    if (field == 0) {
      algorithm = in.read_uint<std::uint8_t>();
    } else {
      packed = in.read_bytes();
    }
  });
  return in.ok() && algorithm == 0;
}

std::size_t encode_compressed(Bytes message, MutableBytes out) {
  SHOAL_ASSERT(!message.empty());
  if (out.size() <= kCompressHeaderBytesMax) return 0;
  // How long the header is depends on the size of what follows it: compress first, then close the gap.
  const std::size_t packed = lzw_compress(message, out.subspan(kCompressHeaderBytesMax));
  if (packed == 0) return 0;
  ByteWriter header(out.first(kCompressHeaderBytesMax));
  header.u8(static_cast<std::uint8_t>(MessageType::kCompress));
  msgpack::put_map(header, 2);
  msgpack::put_text(header, "Algo");
  msgpack::put_uint(header, 0);
  msgpack::put_text(header, "Buf");
  msgpack::put_raw_header(header, static_cast<std::uint32_t>(packed));
  SHOAL_ASSERT(header.ok());
  std::memmove(out.data() + header.size(), out.data() + kCompressHeaderBytesMax, packed);
  return header.size() + packed;
}

}  // namespace shoal::wire
