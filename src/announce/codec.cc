#include "announce/codec.h"

#include <pb_decode.h>
#include <pb_encode.h>

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "shoal.pb.h"

namespace shoal::announce {
namespace {

static_assert(shoal_v1_AnnounceRequest_size <= kPayloadBytesMax);
static_assert(shoal_v1_AnnounceResponse_size <= kPayloadBytesMax);
static_assert(shoal_v1_DepartRequest_size <= kPayloadBytesMax);
static_assert(shoal_v1_DepartResponse_size <= kPayloadBytesMax);
static_assert(shoal_v1_SolicitRequest_size <= kPayloadBytesMax);
static_assert(shoal_v1_SteerRequest_size <= kPayloadBytesMax);
static_assert(shoal_v1_SteerResponse_size <= kPayloadBytesMax);

constexpr std::uint32_t kPortMax = 65535;
constexpr std::uint32_t kWeightMax = 256;
constexpr std::uint32_t kWeightDefault = 100;

struct Word {
  TaskState state;
  std::string_view text;
};
constexpr Word kWords[] = {
    {TaskState::kReady, "ready"},
    {TaskState::kUnready, "unready"},
    {TaskState::kDeparting, "departing"},
};

TaskState state_of(std::string_view text) {
  for (const Word& word : kWords) {
    if (word.text == text) return word.state;
  }
  return TaskState::kUnknown;
}

std::string_view text_of(TaskState state) {
  for (const Word& word : kWords) {
    if (word.state == state) return word.text;
  }
  return "unknown";
}

bool is_control(std::uint8_t byte) { return byte < 0x20 || byte == 0x7f; }

// nanopb gives strings as C strings, so a NUL inside would cut one silently: the raw bytes are looked at instead.
// `fields`: the numbers of the message's string fields in which no control byte may be.
bool strings_are_clean(Bytes payload, std::initializer_list<std::uint32_t> fields) {
  pb_istream_t stream = pb_istream_from_buffer(payload.data(), payload.size());
  pb_wire_type_t type = PB_WT_VARINT;
  std::uint32_t field = 0;
  bool is_end = false;
  while (pb_decode_tag(&stream, &type, &field, &is_end)) {
    if (type != PB_WT_STRING || std::find(fields.begin(), fields.end(), field) == fields.end()) {
      if (!pb_skip_field(&stream, type)) return false;
      continue;
    }
    std::uint32_t size = 0;
    if (!pb_decode_varint32(&stream, &size) || size > stream.bytes_left) return false;
    const Bytes text = payload.subspan(payload.size() - stream.bytes_left, size);
    if (std::any_of(text.begin(), text.end(), is_control)) return false;
    if (!pb_read(&stream, nullptr, size)) return false;
  }
  return is_end;
}

template <typename Message>
bool decode(Bytes payload, const pb_msgdesc_t* fields, Message& message) {
  pb_istream_t stream = pb_istream_from_buffer(payload.data(), payload.size());
  return pb_decode(&stream, fields, &message);
}

template <typename Message>
Bytes encode(MutableBytes memory, const pb_msgdesc_t* fields, const Message& message) {
  SHOAL_ASSERT(memory.size() >= kPayloadBytesMax);
  pb_ostream_t stream = pb_ostream_from_buffer(memory.data(), memory.size());
  SHOAL_ASSERT(pb_encode(&stream, fields, &message));
  return Bytes(memory).first(stream.bytes_written);
}

template <std::size_t kSize>
void set_text(char (&to)[kSize], std::string_view from) {
  SHOAL_ASSERT(from.size() < kSize);
  if (!from.empty()) std::memcpy(to, from.data(), from.size());
  to[from.size()] = '\0';
}

std::string_view text_in(const char* from) { return from; }

// An answer's reason is for people, so it is mended rather than refused.
ReasonText reason_text_of(const char* from) {
  ReasonText out;
  for (const char c : text_in(from)) {
    const char shown = is_control(static_cast<std::uint8_t>(c)) ? ' ' : c;
    SHOAL_ASSERT(out.append({&shown, 1}));
  }
  return out;
}

/// An enum as a plain number: a newer peer's may be none of its values.
template <typename Enum>
std::uint32_t number_of(const Enum& value) {
  std::uint32_t number = 0;
  static_assert(sizeof number == sizeof value);
  std::memcpy(&number, &value, sizeof number);
  return number;
}

Reason reason_of(const shoal_v1_ReasonCode& code) {
  const std::uint32_t number = number_of(code);
  if (number == shoal_v1_ReasonCode_REASON_NONE) return Reason::kNone;
  if (number == shoal_v1_ReasonCode_REASON_FIX) return Reason::kFix;
  return Reason::kRetry;
}

shoal_v1_ReasonCode code_of(Reason reason) {
  switch (reason) {
    case Reason::kNone: return shoal_v1_ReasonCode_REASON_NONE;
    case Reason::kRetry: return shoal_v1_ReasonCode_REASON_RETRY;
    case Reason::kFix: return shoal_v1_ReasonCode_REASON_FIX;
  }
  SHOAL_UNREACHABLE();
}

}  // namespace

Bytes encode(const Announcement& message, MutableBytes memory) {
  shoal_v1_AnnounceRequest raw = shoal_v1_AnnounceRequest_init_zero;
  raw.port = message.port;
  set_text(raw.backend, message.pool);
  set_text(raw.state, text_of(message.state));
  raw.weight = message.weight;
  raw.start_id = message.generation.start_id;
  raw.seq = message.generation.seq;
  raw.nonce = message.nonce;
  return encode(memory, shoal_v1_AnnounceRequest_fields, raw);
}

std::optional<Announcement> decode_announcement(Bytes payload) {
  shoal_v1_AnnounceRequest raw = shoal_v1_AnnounceRequest_init_zero;
  if (!strings_are_clean(payload, {shoal_v1_AnnounceRequest_backend_tag, shoal_v1_AnnounceRequest_state_tag})) {
    return std::nullopt;
  }
  if (!decode(payload, shoal_v1_AnnounceRequest_fields, raw)) return std::nullopt;
  if (raw.port > kPortMax || raw.weight > kWeightMax) return std::nullopt;
  Announcement out;
  out.port = static_cast<std::uint16_t>(raw.port);
  if (!out.pool.assign(text_in(raw.backend))) return std::nullopt;
  out.state = state_of(text_in(raw.state));
  out.weight = static_cast<std::uint16_t>(raw.weight == 0 ? kWeightDefault : raw.weight);
  out.generation = {raw.start_id, raw.seq};
  out.nonce = raw.nonce;
  return out;
}

Bytes encode(const AnnounceAnswer& message, MutableBytes memory) {
  shoal_v1_AnnounceResponse raw = shoal_v1_AnnounceResponse_init_zero;
  raw.accepted = message.accepted;
  set_text(raw.reason, message.reason_text);
  raw.pending = message.pending;
  raw.code = code_of(message.reason);
  set_text(raw.server, message.server);
  raw.proxies_up = message.proxies_up;
  raw.proxies_total = message.proxies_total;
  raw.proxies_in_rotation = message.proxies_in_rotation;
  return encode(memory, shoal_v1_AnnounceResponse_fields, raw);
}

std::optional<AnnounceAnswer> decode_announce_answer(Bytes payload) {
  shoal_v1_AnnounceResponse raw = shoal_v1_AnnounceResponse_init_zero;
  if (!strings_are_clean(payload, {shoal_v1_AnnounceResponse_server_tag})) return std::nullopt;
  if (!decode(payload, shoal_v1_AnnounceResponse_fields, raw)) return std::nullopt;
  AnnounceAnswer out;
  out.accepted = raw.accepted;
  out.pending = raw.pending;
  out.reason = reason_of(raw.code);
  out.reason_text = reason_text_of(raw.reason);
  if (!out.server.assign(text_in(raw.server))) return std::nullopt;
  out.proxies_up = raw.proxies_up;
  out.proxies_total = raw.proxies_total;
  out.proxies_in_rotation = raw.proxies_in_rotation;
  return out;
}

Bytes encode(const Departure& message, MutableBytes memory) {
  shoal_v1_DepartRequest raw = shoal_v1_DepartRequest_init_zero;
  raw.port = message.port;
  raw.timeout_seconds = message.timeout_seconds;
  raw.start_id = message.generation.start_id;
  raw.seq = message.generation.seq;
  set_text(raw.backend, message.pool);
  raw.returns = message.returns;
  return encode(memory, shoal_v1_DepartRequest_fields, raw);
}

std::optional<Departure> decode_departure(Bytes payload) {
  shoal_v1_DepartRequest raw = shoal_v1_DepartRequest_init_zero;
  if (!strings_are_clean(payload, {shoal_v1_DepartRequest_addr_tag, shoal_v1_DepartRequest_backend_tag})) {
    return std::nullopt;
  }
  if (!decode(payload, shoal_v1_DepartRequest_fields, raw)) return std::nullopt;
  if (raw.port > kPortMax) return std::nullopt;
  Departure out;
  out.port = static_cast<std::uint16_t>(raw.port);
  if (!out.pool.assign(text_in(raw.backend))) return std::nullopt;
  out.timeout_seconds = raw.timeout_seconds;
  out.returns = raw.returns;
  out.generation = {raw.start_id, raw.seq};
  return out;
}

Bytes encode(const DepartAnswer& message, MutableBytes memory) {
  shoal_v1_DepartResponse raw = shoal_v1_DepartResponse_init_zero;
  raw.accepted = message.accepted;
  set_text(raw.reason, message.reason_text);
  raw.pending = message.pending;
  raw.code = code_of(message.reason);
  set_text(raw.server, message.server);
  raw.drained = message.drained;
  raw.in_flight = message.in_flight;
  raw.proxies_up = message.proxies_up;
  raw.proxies_total = message.proxies_total;
  return encode(memory, shoal_v1_DepartResponse_fields, raw);
}

std::optional<DepartAnswer> decode_depart_answer(Bytes payload) {
  shoal_v1_DepartResponse raw = shoal_v1_DepartResponse_init_zero;
  if (!strings_are_clean(payload, {shoal_v1_DepartResponse_server_tag})) return std::nullopt;
  if (!decode(payload, shoal_v1_DepartResponse_fields, raw)) return std::nullopt;
  DepartAnswer out;
  out.accepted = raw.accepted;
  out.pending = raw.pending;
  out.drained = raw.drained;
  out.in_flight = raw.in_flight;
  out.reason = reason_of(raw.code);
  out.reason_text = reason_text_of(raw.reason);
  if (!out.server.assign(text_in(raw.server))) return std::nullopt;
  out.proxies_up = raw.proxies_up;
  out.proxies_total = raw.proxies_total;
  return out;
}

Bytes encode(const Solicitation& message, MutableBytes memory) {
  shoal_v1_SolicitRequest raw = shoal_v1_SolicitRequest_init_zero;
  raw.nonce = message.nonce;
  return encode(memory, shoal_v1_SolicitRequest_fields, raw);
}

std::optional<Solicitation> decode_solicitation(Bytes payload) {
  shoal_v1_SolicitRequest raw = shoal_v1_SolicitRequest_init_zero;
  if (!decode(payload, shoal_v1_SolicitRequest_fields, raw)) return std::nullopt;
  return Solicitation{raw.nonce};
}

Bytes encode(const Steering& message, MutableBytes memory) {
  shoal_v1_SteerRequest raw = shoal_v1_SteerRequest_init_zero;
  switch (message.wish) {
    case Wish::kNone: raw.wish = shoal_v1_Wish_WISH_NONE; break;
    case Wish::kDrain: raw.wish = shoal_v1_Wish_WISH_DRAIN; break;
    case Wish::kMaint: raw.wish = shoal_v1_Wish_WISH_MAINT; break;
  }
  raw.stop = message.stop;
  return encode(memory, shoal_v1_SteerRequest_fields, raw);
}

std::optional<Steering> decode_steering(Bytes payload) {
  shoal_v1_SteerRequest raw = shoal_v1_SteerRequest_init_zero;
  if (!decode(payload, shoal_v1_SteerRequest_fields, raw)) return std::nullopt;
  switch (number_of(raw.wish)) {
    case shoal_v1_Wish_WISH_NONE: return Steering{Wish::kNone, raw.stop};
    case shoal_v1_Wish_WISH_DRAIN: return Steering{Wish::kDrain, raw.stop};
    case shoal_v1_Wish_WISH_MAINT: return Steering{Wish::kMaint, raw.stop};
    default: return std::nullopt;
  }
}

Bytes encode(const SteeringAnswer& message, MutableBytes memory) {
  shoal_v1_SteerResponse raw = shoal_v1_SteerResponse_init_zero;
  raw.accepted = message.accepted;
  set_text(raw.reason, message.reason_text);
  return encode(memory, shoal_v1_SteerResponse_fields, raw);
}

std::optional<SteeringAnswer> decode_steering_answer(Bytes payload) {
  shoal_v1_SteerResponse raw = shoal_v1_SteerResponse_init_zero;
  if (!decode(payload, shoal_v1_SteerResponse_fields, raw)) return std::nullopt;
  return SteeringAnswer{raw.accepted, reason_text_of(raw.reason)};
}

std::string_view to_text(Wish wish) {
  switch (wish) {
    case Wish::kNone: return "";
    case Wish::kDrain: return "drain";
    case Wish::kMaint: return "maint";
  }
  SHOAL_UNREACHABLE();
}

Wish wish_of(std::string_view text) {
  if (text == to_text(Wish::kDrain)) return Wish::kDrain;
  if (text == to_text(Wish::kMaint)) return Wish::kMaint;
  return Wish::kNone;
}

}  // namespace shoal::announce
