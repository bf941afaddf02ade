// The wire form of messages.h: protobuf, package shoal.v1 (proto/shoal.proto). The only file that knows nanopb.
//
// Decoding trusts nothing: a string that is too long or holds a control byte, a number out of range or a damaged
// message gives nothing. An unknown field, state word or reason code is tolerated: the peer is newer.
//
//   08 90 3f 12 03 77 65 62 1a 05 72 65 61 64 79    port 8080, backend "web", state "ready"
//   08 01                                           accepted
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "announce/messages.h"
#include "base/bytes.h"

namespace shoal::announce {

/// Room enough for any message here; codec.cc checks it against the generated sizes.
inline constexpr std::size_t kPayloadBytesMax = 640;

/// What a sidecar asks a task with `solicit`. A Go sidecar sends no payload: nonce 0.
struct Solicitation {
  std::uint64_t nonce = 0;
};

/// Each writes into `memory` and gives the part written. REQUIRES: kPayloadBytesMax of memory.
[[nodiscard]] Bytes encode(const Announcement& message, MutableBytes memory);
[[nodiscard]] Bytes encode(const AnnounceAnswer& message, MutableBytes memory);
[[nodiscard]] Bytes encode(const Departure& message, MutableBytes memory);
[[nodiscard]] Bytes encode(const DepartAnswer& message, MutableBytes memory);
[[nodiscard]] Bytes encode(const Solicitation& message, MutableBytes memory);
[[nodiscard]] Bytes encode(const Steering& message, MutableBytes memory);
[[nodiscard]] Bytes encode(const SteeringAnswer& message, MutableBytes memory);

/// Port 0 and an empty pool are left to the caller to judge, so that it can answer in words. An absent state word is
/// kUnknown, an absent weight 100; a port over 65535 or a weight over 256 is a decode failure.
[[nodiscard]] std::optional<Announcement> decode_announcement(Bytes payload);
/// Control bytes in the reason, which is only for people, become spaces. An unknown reason code counts as kRetry.
[[nodiscard]] std::optional<AnnounceAnswer> decode_announce_answer(Bytes payload);
[[nodiscard]] std::optional<Departure> decode_departure(Bytes payload);
[[nodiscard]] std::optional<DepartAnswer> decode_depart_answer(Bytes payload);
[[nodiscard]] std::optional<Solicitation> decode_solicitation(Bytes payload);
/// A wish that we do not know is a decode failure: it could not be done.
[[nodiscard]] std::optional<Steering> decode_steering(Bytes payload);
[[nodiscard]] std::optional<SteeringAnswer> decode_steering_answer(Bytes payload);

}  // namespace shoal::announce
