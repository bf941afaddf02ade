// LZW: any input unpacks within its room, and any input that is packed comes back.
#include <vector>

#include "base/check.h"
#include "target.h"
#include "wire/lzw.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace shoal;
  const Bytes bytes(data, size);
  std::vector<std::uint8_t> out(16 * 1024);
  const wire::LzwResult result = wire::lzw_decompress(bytes, out);
  SHOAL_ASSERT(result.size <= out.size());

  std::vector<std::uint8_t> packed(size * 3 / 2 + 16);
  const std::size_t packed_size = wire::lzw_compress(bytes, packed);
  SHOAL_ASSERT(packed_size > 0);
  std::vector<std::uint8_t> again(size);
  const wire::LzwResult back = wire::lzw_decompress(Bytes(packed).first(packed_size), again);
  SHOAL_ASSERT(back.status == wire::LzwStatus::kOk && back.size == size);
  SHOAL_ASSERT(same_bytes(again, bytes));
  return 0;
}
