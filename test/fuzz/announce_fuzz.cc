// The payloads of announce, depart, solicit, steer and their answers: what decodes is inside its limits, and written
// again it says the same.
#include <vector>

#include "announce/codec.h"
#include "base/check.h"
#include "target.h"

namespace {

using namespace shoal;
using namespace shoal::announce;

template <typename Message>
bool no_control_bytes(const Message& text) {
  for (const char c : text.view()) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return false;
  }
  return true;
}

template <typename Message, typename Decode>
void round_trip(const Message& message, Decode&& decode) {
  std::uint8_t memory[kPayloadBytesMax], again[kPayloadBytesMax];
  const Bytes once = encode(message, memory);
  const auto decoded = decode(once);
  SHOAL_ASSERT(decoded.has_value());
  SHOAL_ASSERT(same_bytes(encode(*decoded, again), once));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes payload(data, size);
  if (const auto m = decode_announcement(payload)) {
    SHOAL_ASSERT(m->weight <= 256 && no_control_bytes(m->pool));
    round_trip(*m, decode_announcement);
  }
  if (const auto m = decode_announce_answer(payload)) {
    SHOAL_ASSERT(no_control_bytes(m->reason_text) && no_control_bytes(m->server));
    round_trip(*m, decode_announce_answer);
  }
  if (const auto m = decode_departure(payload)) {
    SHOAL_ASSERT(no_control_bytes(m->pool));
    round_trip(*m, decode_departure);
  }
  if (const auto m = decode_depart_answer(payload)) {
    SHOAL_ASSERT(no_control_bytes(m->reason_text) && no_control_bytes(m->server));
    round_trip(*m, decode_depart_answer);
  }
  if (const auto m = decode_solicitation(payload)) round_trip(*m, decode_solicitation);
  if (const auto m = decode_steering(payload)) round_trip(*m, decode_steering);
  if (const auto m = decode_steering_answer(payload)) {
    SHOAL_ASSERT(no_control_bytes(m->reason_text));
    round_trip(*m, decode_steering_answer);
  }
  return 0;
}
