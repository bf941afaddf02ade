#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "golden.h"
#include "support/hex.h"
#include "wire/messages.h"
#include "wire/msgpack.h"

namespace shoal::wire {
namespace {

using test::from_hex;
using test::to_hex;
using Memory = std::vector<std::uint8_t>;

std::string encoded(const Coordinate& coordinate) {
  Memory memory(256);
  ByteWriter out(memory);
  encode_coordinate(out, coordinate);
  REQUIRE(out.ok());
  return to_hex(out.written());
}

CoordinateStatus read(std::string_view hex, Coordinate& out) {
  const Memory payload = from_hex(hex);
  return decode_coordinate(payload, out);
}

TEST_CASE("G07: the coordinate at the origin is written and read as Go has it") {
  const Coordinate origin{.vec = {}, .error = 1.5, .adjustment = 0, .height = 1e-5};
  CHECK(encoded(origin) == golden("G07"));
  Coordinate out;
  REQUIRE(read(golden("G07"), out) == CoordinateStatus::kOk);
  CHECK(out.vec == origin.vec);
  CHECK(out.error == 1.5);
  CHECK(out.adjustment == 0);
  CHECK(out.height == 1e-5);
}

TEST_CASE("every number comes back in its place") {
  Coordinate in{.vec = {1, -2, 3.25, -4.5, 1e-9, 6e100, -0.0, 8}, .error = 0.1, .adjustment = -0.2, .height = 0.3};
  Coordinate out;
  REQUIRE(read(encoded(in), out) == CoordinateStatus::kOk);
  CHECK(out.vec == in.vec);
  CHECK(out.error == in.error);
  CHECK(out.adjustment == in.adjustment);
  CHECK(out.height == in.height);
  in.error = std::numeric_limits<double>::quiet_NaN();
  in.vec[3] = std::numeric_limits<double>::infinity();
  REQUIRE(read(encoded(in), out) == CoordinateStatus::kOk);  // The reader's to refuse.
  CHECK(std::isnan(out.error));
  CHECK(std::isinf(out.vec[3]));
}

TEST_CASE("no payload and other versions are no fault; another dimension is told apart from damage") {
  const std::string vec = "a3566563";
  Coordinate out;
  CHECK(read("", out) == CoordinateStatus::kNone);
  CHECK(read("02", out) == CoordinateStatus::kOtherVersion);
  CHECK(read("0080", out) == CoordinateStatus::kOtherVersion);
  CHECK(read("01", out) == CoordinateStatus::kMalformed);
  CHECK(read("0180", out) == CoordinateStatus::kOtherDimension);
  CHECK(read("01c0", out) == CoordinateStatus::kOtherDimension);
  CHECK(read("0181" + vec + "9701020304050607", out) == CoordinateStatus::kOtherDimension);
  CHECK(read("0181" + vec + "99010203040506070809", out) == CoordinateStatus::kOtherDimension);
  CHECK(read("0181" + vec + "980102030405060708", out) == CoordinateStatus::kOk);  // Integers are numbers too.
  CHECK(out.vec[7] == 8);
  CHECK(read("0181" + vec + "98ff02030405060708", out) == CoordinateStatus::kOk);
  CHECK(out.vec[0] == -1);
  CHECK(read("0181" + vec + "98ca3fc0000002030405060708", out) == CoordinateStatus::kOk);  // float32
  CHECK(out.vec[0] == 1.5);
  CHECK(read("0181" + vec + "98cfffffffffffffffff02030405060708", out) == CoordinateStatus::kOk);
  CHECK(out.vec[0] == 18446744073709551615.0);
  CHECK(read("0181" + vec + "98a002030405060708", out) == CoordinateStatus::kMalformed);
  CHECK(read("0181" + vec + "980102030405c2c2c2", out) == CoordinateStatus::kMalformed);
  CHECK(read("0181" + vec + "98", out) == CoordinateStatus::kMalformed);
  CHECK(read("0181" + vec + "dd00ffffff01", out) == CoordinateStatus::kMalformed);
}

TEST_CASE("no truncation of a coordinate is taken for a whole one") {
  const Memory whole = from_hex(golden("G07"));
  Coordinate out;
  for (std::size_t size = 1; size < whole.size(); ++size) {
    CHECK(decode_coordinate(Bytes(whole).first(size), out) == CoordinateStatus::kMalformed);
  }
}

}  // namespace
}  // namespace shoal::wire
