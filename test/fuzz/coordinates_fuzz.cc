// Coordinates: what an ack brings is decoded and refused or taken; whatever is taken, our own stays a finite point, and
// estimates are never negative.
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "input.h"
#include "serf/coordinates.h"
#include "target.h"
#include "wire/messages.h"

namespace {

using namespace shoal;

/// Any bits, or a number as honest ones are.
double number(fuzz::Input& in) {
  const std::uint8_t kind = in.u8();
  if (kind < 200) return (static_cast<double>(kind) - 100) / 1000;
  const std::uint64_t bits = in.u64();
  double out = 0;
  static_assert(sizeof out == sizeof bits);
  std::memcpy(&out, &bits, sizeof out);
  return out;
}

serf::Coordinate coordinate(fuzz::Input& in) {
  serf::Coordinate out;
  for (double& x : out.vec) x = number(in);
  out.error = number(in);
  out.adjustment = number(in);
  out.height = number(in);
  return out;
}

bool finite(const serf::Coordinate& c) {
  for (const double x : c.vec) {
    if (!std::isfinite(x)) return false;
  }
  return std::isfinite(c.error) && std::isfinite(c.adjustment) && std::isfinite(c.height);
}

void payload(Bytes bytes) {
  wire::Coordinate decoded;
  if (wire::decode_coordinate(bytes, decoded) != wire::CoordinateStatus::kOk) return;
  std::uint8_t memory[256], again[256];
  ByteWriter out{MutableBytes(memory)};
  wire::encode_coordinate(out, decoded);
  SHOAL_ASSERT(out.ok());
  wire::Coordinate back;
  SHOAL_ASSERT(wire::decode_coordinate(out.written(), back) == wire::CoordinateStatus::kOk);
  ByteWriter second{MutableBytes(again)};
  wire::encode_coordinate(second, back);
  SHOAL_ASSERT(same_bytes(second.written(), out.written()));
}

void updates(fuzz::Input& in) {
  serf::Coordinates own(Rng(1));
  serf::PeerCoordinate peers[3];
  for (int step = 0; step < 60 && !in.empty(); ++step) {
    serf::PeerCoordinate& peer = peers[in.u8() % 3];
    const serf::Coordinate other = coordinate(in);
    const bool odd = in.u8() > 250;
    const Duration rtt = odd ? Duration(static_cast<std::int64_t>(in.u64())) : std::chrono::microseconds(in.u32() >> 4);
    const serf::Coordinate before = own.own();
    const serf::CoordinateVerdict verdict = own.update(peer, other, rtt);
    SHOAL_ASSERT(finite(own.own()));
    SHOAL_ASSERT(own.own().height >= 0 && own.own().error >= 0 && own.own().error <= serf::kCoordinateErrorMax);
    if (verdict == serf::CoordinateVerdict::kTaken) {
      SHOAL_ASSERT(peer.known && finite(other) && rtt >= Duration{} && rtt <= serf::Coordinates::kRttMax);
    } else {
      SHOAL_ASSERT(own.own() == before);
    }
    SHOAL_ASSERT(serf::estimate(own.own(), peer.at) >= Duration{});
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  payload({data, size});
  fuzz::Input in(data, size);
  updates(in);
  return 0;
}
