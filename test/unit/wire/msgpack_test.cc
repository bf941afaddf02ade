#include "wire/msgpack.h"

#include <doctest/doctest.h>

#include <limits>
#include <string>
#include <vector>

#include "support/hex.h"

namespace shoal::wire::msgpack {
namespace {

using test::from_hex;
using test::to_hex;

template <typename F>
std::string written(F&& f) {
  std::vector<std::uint8_t> memory(70'000);
  ByteWriter out(memory);
  f(out);
  return out.ok() ? to_hex(out.written()) : "does not fit";
}

std::string unsigned_form(std::uint64_t value) {
  return written([&](ByteWriter& out) { put_uint(out, value); });
}
std::string signed_form(std::int64_t value) {
  return written([&](ByteWriter& out) { put_int(out, value); });
}

TEST_CASE("unsigned numbers take the smallest form, signed ones Go's") {
  CHECK(unsigned_form(0) == "00");
  CHECK(unsigned_form(127) == "7f");
  CHECK(unsigned_form(128) == "cc80");
  CHECK(unsigned_form(255) == "ccff");
  CHECK(unsigned_form(256) == "cd0100");
  CHECK(unsigned_form(65'535) == "cdffff");
  CHECK(unsigned_form(65'536) == "ce00010000");
  CHECK(unsigned_form(0xffffffff) == "ceffffffff");
  CHECK(unsigned_form(0x100000000) == "cf0000000100000000");
  CHECK(signed_form(127) == "7f");
  CHECK(signed_form(128) == "d10080");
  CHECK(signed_form(32'767) == "d17fff");
  CHECK(signed_form(32'768) == "d200008000");
  CHECK(signed_form(0x7fffffff) == "d27fffffff");
  CHECK(signed_form(0x80000000) == "d30000000080000000");
  CHECK(signed_form(-1) == "ff");
  CHECK(signed_form(-32) == "e0");
  CHECK(signed_form(-33) == "d0df");
  CHECK(signed_form(-129) == "d1ff7f");
  CHECK(signed_form(-32'769) == "d2ffff7fff");
  CHECK(signed_form(-0x80000001LL) == "d3ffffffff7fffffff");
}

TEST_CASE("text and bytes are old raw of every size, nothing is nil for bytes only") {
  const auto head = [](std::size_t size) {
    return written([&](ByteWriter& out) { put_text(out, std::string(size, 'x')); }).substr(0, 12);
  };
  CHECK(head(0) == "a0");
  CHECK(head(31).substr(0, 4) == "bf78");
  CHECK(head(32).substr(0, 8) == "da002078");
  CHECK(head(65'535).substr(0, 8) == "daffff78");
  CHECK(head(65'536) == "db0001000078");
  CHECK(written([](ByteWriter& out) { put_bytes(out, {}); }) == "c0");
}

TEST_CASE("headers of lists and maps grow with the count") {
  CHECK(written([](ByteWriter& out) { put_array(out, 15); }) == "9f");
  CHECK(written([](ByteWriter& out) { put_array(out, 16); }) == "dc0010");
  CHECK(written([](ByteWriter& out) { put_array(out, 65'536); }) == "dd00010000");
  CHECK(written([](ByteWriter& out) { put_map(out, 15); }) == "8f");
  CHECK(written([](ByteWriter& out) { put_map(out, 16); }) == "de0010");
  CHECK(written([](ByteWriter& out) { put_map(out, 65'536); }) == "df00010000");
}

struct Number {
  const char* hex;
  bool fits_u16;
  std::uint16_t u16;
  bool fits_int;
  std::int64_t as_int;
};

TEST_CASE("an integer is read from any form that is in range, and from nothing else") {
  const Number numbers[] = {
      {"c0", true, 0, true, 0},
      {"07", true, 7, true, 7},
      {"cc07", true, 7, true, 7},
      {"cd0007", true, 7, true, 7},
      {"ce00000007", true, 7, true, 7},
      {"cf0000000000000007", true, 7, true, 7},
      {"d007", true, 7, true, 7},
      {"d10007", true, 7, true, 7},
      {"d200000007", true, 7, true, 7},
      {"d30000000000000007", true, 7, true, 7},
      {"cdffff", true, 65'535, true, 65'535},
      {"ce00010000", false, 0, true, 65'536},
      {"cf7fffffffffffffff", false, 0, true, std::numeric_limits<std::int64_t>::max()},
      {"cf8000000000000000", false, 0, false, 0},
      {"ff", false, 0, true, -1},
      {"d0ff", false, 0, true, -1},
      {"d1ff80", false, 0, true, -128},
      {"d2ffffffff", false, 0, true, -1},
      {"d38000000000000000", false, 0, true, std::numeric_limits<std::int64_t>::min()},
      {"ca00000000", false, 0, false, 0},
      {"cb0000000000000000", false, 0, false, 0},
      {"c3", false, 0, false, 0},
      {"a137", false, 0, false, 0},
      {"90", false, 0, false, 0},
      {"c1", false, 0, false, 0},
      {"", false, 0, false, 0},
      {"cd00", false, 0, false, 0},
  };
  for (const Number& number : numbers) {
    CAPTURE(number.hex);
    const auto bytes = from_hex(number.hex);
    Reader as_unsigned(bytes);
    CHECK(as_unsigned.read_uint<std::uint16_t>() == number.u16);
    CHECK(as_unsigned.ok() == number.fits_u16);
    Reader as_signed(bytes);
    CHECK(as_signed.read_int() == number.as_int);
    CHECK(as_signed.ok() == number.fits_int);
  }
}

TEST_CASE("a bool is true, false, 0, 1 or nil") {
  const auto read = [](std::string_view hex) {
    const auto bytes = from_hex(hex);
    Reader in(bytes);
    const bool value = in.read_bool();
    return in.ok() ? (value ? 1 : 0) : -1;
  };
  CHECK(read("c3") == 1);
  CHECK(read("01") == 1);
  CHECK(read("c2") == 0);
  CHECK(read("00") == 0);
  CHECK(read("c0") == 0);
  CHECK(read("02") == -1);
  CHECK(read("a0") == -1);
  CHECK(read("") == -1);
}

TEST_CASE("text and bytes are read from raw, str8 and bin; bytes from small numbers too") {
  for (const char* hex :
       {"a26869", "d9026869", "da00026869", "db000000026869", "c4026869", "c500026869", "c6000000026869"}) {
    CAPTURE(hex);
    const auto bytes = from_hex(hex);
    Reader text(bytes);
    CHECK(text.read_text() == "hi");
    CHECK(text.ok());
    Reader raw(bytes);
    CHECK(as_text(raw.read_bytes()) == "hi");
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      Reader cut(Bytes(bytes).first(size));
      (void)cut.read_text();
      CHECK_FALSE(cut.ok());
    }
  }
  for (const char* hex : {"926869", "dc00026869", "dd000000026869"}) {
    const auto bytes = from_hex(hex);
    Reader in(bytes);
    CHECK(as_text(in.read_bytes()) == "hi");
    CHECK(in.ok());
    Reader text(bytes);
    (void)text.read_text();
    CHECK_FALSE(text.ok());
  }
  for (const char* hex : {"9168cc80", "92ff01", "91c0", "dcffff00", "80", "01"}) {
    CAPTURE(hex);
    const auto bytes = from_hex(hex);
    Reader in(bytes);
    (void)in.read_bytes();
    // 9168 is a whole list; what stands behind it is another object.
    CHECK(in.ok() == (std::string_view(hex) == "9168cc80"));
  }
}

TEST_CASE("a count larger than what follows is not believed") {
  for (const char* hex : {"91", "dc000201", "ddffffffff01"}) {
    const auto bytes = from_hex(hex);
    Reader in(bytes);
    CHECK(in.read_array() == 0);
    CHECK_FALSE(in.ok());
  }
  for (const char* hex : {"8101", "de0001a1", "dfffffffff0101"}) {
    const auto bytes = from_hex(hex);
    Reader in(bytes);
    CHECK(in.read_map() == 0);
    CHECK_FALSE(in.ok());
  }
}

// Every kind of object there is, alone.
const char* const kObjects[] = {"00",
                                "7f",
                                "e0",
                                "ff",
                                "80",
                                "81a16101",
                                "90",
                                "93010203",
                                "a0",
                                "a26869",
                                "c0",
                                "c2",
                                "c3",
                                "c4026869",
                                "c500026869",
                                "c6000000026869",
                                "c702056869",
                                "c80002056869",
                                "c900000002056869",
                                "ca00000000",
                                "cb0000000000000000",
                                "cc01",
                                "cd0001",
                                "ce00000001",
                                "cf0000000000000001",
                                "d001",
                                "d10001",
                                "d200000001",
                                "d30000000000000001",
                                "d40568",
                                "d5056869",
                                "d60568696869",
                                "d7056869686968696869",
                                "d80568696869686968696869686968696869",
                                "d9026869",
                                "da00026869",
                                "db000000026869",
                                "dc000201a168",
                                "dd0000000201a168",
                                "de0001a16801",
                                "df00000001a16801",
                                "8281a16190c09292c090cb0000000000000000da000178"};

TEST_CASE("the end of every object is found, at once or byte by byte") {
  for (const char* hex : kObjects) {
    CAPTURE(hex);
    auto bytes = from_hex(hex);
    const std::size_t whole = bytes.size();
    bytes.insert(bytes.end(), {0xc1, 0xc1});  // Something else behind it, which nobody may look at.
    Reader in(bytes);
    CHECK(in.skip().size() == whole);
    CHECK(in.left() == 2);
    ObjectScanner scanner;
    for (std::size_t size = 0; size < whole; ++size) {
      CHECK(scanner.advance(Bytes(bytes).first(size), 1'000) == ScanStatus::kIncomplete);
    }
    CHECK(scanner.advance(Bytes(bytes).first(whole), 1'000) == ScanStatus::kComplete);
    CHECK(scanner.size() == whole);
    ObjectScanner exact;
    CHECK(exact.advance(bytes, whole) == ScanStatus::kComplete);
    if (whole > 1) {
      ObjectScanner limited;
      CHECK(limited.advance(bytes, whole - 1) == ScanStatus::kTooLarge);
    }
  }
}

TEST_CASE("what no object can be is malformed, and what cannot end in time is too large") {
  ObjectScanner unknown;
  CHECK(unknown.advance(from_hex("c1"), 100) == ScanStatus::kMalformed);
  ObjectScanner inside;
  CHECK(inside.advance(from_hex("9201c1"), 100) == ScanStatus::kMalformed);
  for (const char* hex :
       {"dbffffffff", "ddffffffff", "dfffffffff", "dfffffffffdfffffffff", "c6ffffffff", "c9ffffffff"}) {
    CAPTURE(hex);
    ObjectScanner huge;
    CHECK(huge.advance(from_hex(hex), 1'000'000) == ScanStatus::kTooLarge);
  }
}

TEST_CASE("depth costs nothing") {
  std::vector<std::uint8_t> deep(1'000'000, 0x91);
  deep.push_back(0x00);
  Reader in(deep);
  CHECK(in.skip().size() == deep.size());
}

}  // namespace
}  // namespace shoal::wire::msgpack
