// Network coordinates as they travel in the payload of an ack: a version byte, then a map of numbers.
#include "wire/messages.h"
#include "wire/msgpack.h"

namespace shoal::wire {
namespace {

constexpr std::uint8_t kVersion = 1;

}  // namespace

void encode_coordinate(ByteWriter& out, const Coordinate& coordinate) {
  out.u8(kVersion);
  msgpack::put_map(out, 4);
  msgpack::put_float(out, "Adjustment", coordinate.adjustment);
  msgpack::put_float(out, "Error", coordinate.error);
  msgpack::put_float(out, "Height", coordinate.height);
  msgpack::put_text(out, "Vec");
  msgpack::put_array(out, Coordinate::kDimensions);
  for (const double value : coordinate.vec) msgpack::put_float(out, value);
}

CoordinateStatus decode_coordinate(Bytes payload, Coordinate& out) {
  static constexpr std::array<std::string_view, 4> kNames = {"Vec", "Error", "Adjustment", "Height"};
  if (payload.empty()) return CoordinateStatus::kNone;
  if (payload[0] != kVersion) return CoordinateStatus::kOtherVersion;
  if (payload.size() == 1) return CoordinateStatus::kMalformed;
  out = {};
  std::uint32_t dimensions = 0;
  msgpack::Reader in(payload.subspan(1));
  msgpack::read_struct(in, kNames, [&](std::uint32_t field) {
    switch (field) {
      case 0:
        dimensions = in.read_array();
        for (std::uint32_t i = 0; i < dimensions && in.ok(); ++i) {
          const double value = in.read_float();
          if (i < Coordinate::kDimensions) out.vec[i] = value;
        }
        break;
      case 1: out.error = in.read_float(); break;
      case 2: out.adjustment = in.read_float(); break;
      case 3: out.height = in.read_float(); break;
    }
  });
  if (!in.ok()) return CoordinateStatus::kMalformed;
  return dimensions == Coordinate::kDimensions ? CoordinateStatus::kOk : CoordinateStatus::kOtherDimension;
}

}  // namespace shoal::wire
