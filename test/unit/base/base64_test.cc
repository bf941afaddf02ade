#include "base/base64.h"

#include <doctest/doctest.h>

#include <array>
#include <string>
#include <vector>

#include "base/rng.h"

namespace shoal {
namespace {

std::string encoded(Bytes bytes) {
  std::array<std::uint8_t, 512> memory{};
  ByteWriter out(memory);
  base64_encode(out, bytes);
  REQUIRE(out.ok());
  return std::string(as_text(out.written()));
}

TEST_CASE("the examples of RFC 4648, both ways") {
  const std::pair<std::string_view, std::string_view> rows[] = {
      {"", ""},
      {"f", "Zg=="},
      {"fo", "Zm8="},
      {"foo", "Zm9v"},
      {"foob", "Zm9vYg=="},
      {"fooba", "Zm9vYmE="},
      {"foobar", "Zm9vYmFy"},
      {"\xfb\xff\xbf", "+/+/"},
  };
  for (const auto& [plain, text] : rows) {
    CHECK(encoded(as_bytes(plain)) == text);
    std::array<std::uint8_t, 16> memory{};
    const auto size = base64_decode(text, memory);
    REQUIRE(size);
    CHECK(as_text(Bytes(memory).first(*size)) == plain);
    CHECK(base64_size(plain.size()) == text.size());
  }
}

TEST_CASE("any bytes come back, and every spelling but one is refused") {
  Rng rng(1);
  for (std::size_t size = 0; size < 100; ++size) {
    std::vector<std::uint8_t> bytes(size);
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(rng.next());
    const std::string text = encoded(bytes);
    CHECK(text.size() == base64_size(size));
    std::array<std::uint8_t, 128> memory{};
    const auto back = base64_decode(text, memory);
    REQUIRE(back);
    CHECK(same_bytes(Bytes(memory).first(*back), bytes));
    // Whatever one character becomes: it is refused, or means other bytes.
    for (int i = 0; i < 20 && size > 0; ++i) {
      std::string other = text;
      other[rng.below(std::uint64_t{text.size()})] = static_cast<char>(rng.next());
      const auto changed = base64_decode(other, memory);
      if (changed) CHECK(same_bytes(Bytes(memory).first(*changed), bytes) == (other == text));
    }
  }
}

TEST_CASE("what is not strictly base64 is refused") {
  std::array<std::uint8_t, 64> memory{};
  for (const std::string_view text :
       {"Z",     "Zg",       "Zg=",   "Zg===",    "=",    "==",   "===",  "====", "Z===",
        "Zm=v",  "Zg==Zg==", "Zm9v=", "Zm9v====", "=Zm9", "Zh==", "Zm9=", " Zm9", "Zm9v\n",
        "Zm\n9", "Zm9-",     "Zm9_",  "Zm9\xc3",  "Zg=v", "Z=g=", "Zm9*"}) {
    CAPTURE(text);
    CHECK(!base64_decode(text, memory));
  }
  CHECK(!base64_decode(std::string_view("Zm9\0", 4), memory));
}

TEST_CASE("what does not fit is refused, what fits to the byte is not") {
  std::array<std::uint8_t, 5> five{};
  CHECK(base64_decode("Zm9vYmE=", five) == 5u);
  CHECK(!base64_decode("Zm9vYmE=", MutableBytes(five).first(4)));
  CHECK(!base64_decode("Zm9vYmFy", five));
  CHECK(base64_decode("", MutableBytes{}) == 0u);
  ByteWriter small(five);
  base64_encode(small, as_bytes("foob"));
  CHECK(!small.ok());
}

}  // namespace
}  // namespace shoal
