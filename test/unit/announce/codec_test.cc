#include "announce/codec.h"

#include <doctest/doctest.h>

#include <array>
#include <string>
#include <vector>

#include "base/rng.h"

namespace shoal::announce {
namespace {

std::vector<std::uint8_t> from_hex(std::string_view hex) {
  std::vector<std::uint8_t> out;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    out.push_back(static_cast<std::uint8_t>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  }
  return out;
}

template <typename Message>
std::string to_hex(const Message& message) {
  std::array<std::uint8_t, kPayloadBytesMax> memory{};
  std::string out;
  for (const std::uint8_t byte : encode(message, memory)) {
    constexpr char kDigits[] = "0123456789abcdef";
    out.push_back(kDigits[byte >> 4]);
    out.push_back(kDigits[byte & 15]);
  }
  return out;
}

/// A protobuf string field.
std::string string_field(std::uint8_t number, std::string_view text) {
  REQUIRE(text.size() < 128);
  std::string out;
  out.push_back(static_cast<char>(number << 3 | 2));
  out.push_back(static_cast<char>(text.size()));
  return out.append(text);
}

}  // namespace

TEST_CASE("the announcement of the Go prototype reads as port, pool and ready") {
  const auto bytes = from_hex("08903f12037765621a057265616479");
  const auto said = decode_announcement(bytes);
  REQUIRE(said.has_value());
  CHECK(said->port == 8080);
  CHECK(said->pool == "web");
  CHECK(said->state == TaskState::kReady);
  CHECK(said->weight == 100);
  CHECK(said->generation == Generation{});
  CHECK(said->nonce == 0);
}

TEST_CASE("a packet captured from the Go prototype reads the same") {
  // The payload of its query `announce`, and of its answer to `solicit`.
  const auto said = decode_announcement(from_hex("08d780021204776562731a057265616479"));
  REQUIRE(said.has_value());
  CHECK(said->port == 32855);
  CHECK(said->pool == "webs");
  CHECK(said->state == TaskState::kReady);
  // And its answer.
  const auto answer = decode_announce_answer(from_hex("0801"));
  REQUIRE(answer.has_value());
  CHECK(answer->accepted);
  CHECK_FALSE(answer->pending);
  CHECK(answer->reason == Reason::kNone);
}

TEST_CASE("what a Go peer sees in ours are its own three fields first") {
  Announcement said;
  said.port = 8080;
  said.pool = PoolName("web");
  said.weight = 0;
  CHECK(to_hex(said) == "08903f12037765621a057265616479");
  said.weight = 100;
  said.generation = {1, 2};
  said.nonce = 3;
  CHECK(to_hex(said) ==
        "08903f12037765621a057265616479"
        "5064"
        "5801"
        "6002"
        "6803");
  AnnounceAnswer answer;
  answer.accepted = true;
  CHECK(to_hex(answer) == "0801");
}

TEST_CASE("every message comes back as it was, also at its largest") {
  std::array<std::uint8_t, kPayloadBytesMax> memory{};
  Announcement said;
  said.port = 65535;
  said.pool = PoolName(std::string(64, 'p'));
  said.state = TaskState::kDeparting;
  said.weight = 256;
  said.generation = {UINT64_MAX, UINT64_MAX - 1};
  said.nonce = UINT64_MAX;
  const auto said_back = decode_announcement(encode(said, memory));
  REQUIRE(said_back.has_value());
  CHECK(said_back->port == said.port);
  CHECK(said_back->pool == said.pool);
  CHECK(said_back->state == said.state);
  CHECK(said_back->weight == 256);
  CHECK(said_back->generation == said.generation);
  CHECK(said_back->nonce == said.nonce);

  AnnounceAnswer accepted;
  accepted.accepted = true;
  accepted.proxies_up = 3;
  accepted.proxies_total = 4;
  accepted.proxies_in_rotation = UINT32_MAX;
  const auto accepted_back = decode_announce_answer(encode(accepted, memory));
  REQUIRE(accepted_back.has_value());
  CHECK(accepted_back->proxies_up == 3);
  CHECK(accepted_back->proxies_total == 4);
  CHECK(accepted_back->proxies_in_rotation == UINT32_MAX);

  DepartAnswer answer;
  answer.accepted = true;
  answer.drained = true;
  answer.pending = true;
  answer.in_flight = UINT32_MAX;
  answer.reason = Reason::kFix;
  answer.reason_text = ReasonText(std::string(383, 'r'));
  answer.server = ServerName(std::string(128, 's'));
  answer.proxies_up = 2;
  answer.proxies_total = UINT32_MAX;
  const auto answer_back = decode_depart_answer(encode(answer, memory));
  REQUIRE(answer_back.has_value());
  CHECK(answer_back->accepted);
  CHECK(answer_back->drained);
  CHECK(answer_back->pending);
  CHECK(answer_back->in_flight == UINT32_MAX);
  CHECK(answer_back->reason == Reason::kFix);
  CHECK(answer_back->reason_text == answer.reason_text);
  CHECK(answer_back->server == answer.server);
  CHECK(answer_back->proxies_up == 2);
  CHECK(answer_back->proxies_total == UINT32_MAX);

  Departure departure;
  departure.port = 1;
  departure.pool = PoolName("web");
  departure.timeout_seconds = 20;
  departure.generation = {7, 8};
  const auto departure_back = decode_departure(encode(departure, memory));
  REQUIRE(departure_back.has_value());
  CHECK(departure_back->port == 1);
  CHECK(departure_back->pool == "web");
  CHECK(departure_back->timeout_seconds == 20);
  CHECK(departure_back->generation == Generation{7, 8});

  const auto solicitation = decode_solicitation(encode(Solicitation{UINT64_MAX}, memory));
  REQUIRE(solicitation.has_value());
  CHECK(solicitation->nonce == UINT64_MAX);
}

TEST_CASE("an operator's wish and its answer come back as they were, and an unknown wish is refused") {
  std::array<std::uint8_t, kPayloadBytesMax> memory{};
  for (const Wish wish : {Wish::kNone, Wish::kDrain, Wish::kMaint}) {
    const auto steering = decode_steering(encode(Steering{wish, wish == Wish::kMaint}, memory));
    REQUIRE(steering.has_value());
    CHECK(steering->wish == wish);
    CHECK(steering->stop == (wish == Wish::kMaint));
    CHECK(wish_of(to_text(wish)) == wish);
  }
  CHECK(to_hex(Steering{Wish::kMaint, true}) == "50025801");
  CHECK_FALSE(decode_steering(from_hex("5003")).has_value());
  CHECK(wish_of("dance") == Wish::kNone);
  SteeringAnswer answer;
  answer.reason_text = ReasonText("the task is stopping");
  const auto decoded = decode_steering_answer(encode(answer, memory));
  REQUIRE(decoded.has_value());
  CHECK_FALSE(decoded->accepted);
  CHECK(decoded->reason_text == "the task is stopping");
  CHECK(decode_steering_answer(from_hex("0801"))->accepted);
}

TEST_CASE("a solicit of the Go prototype has no payload and no nonce") {
  const auto solicitation = decode_solicitation({});
  REQUIRE(solicitation.has_value());
  CHECK(solicitation->nonce == 0);
}

TEST_CASE("unknown fields, words and codes of a newer peer are tolerated") {
  // Field 99 as a string and field 100 as a varint, behind the known ones.
  const auto said =
      decode_announcement(from_hex("08903f1a057265616479"
                                   "9a0603616263"
                                   "a00605"));
  REQUIRE(said.has_value());
  CHECK(said->port == 8080);
  CHECK(said->state == TaskState::kReady);
  const auto word = decode_announcement(as_bytes("\x08\x01" + string_field(3, "warming")));
  REQUIRE(word.has_value());
  CHECK(word->state == TaskState::kUnknown);
  const auto code = decode_announce_answer(from_hex("5863"));  // code = 99
  REQUIRE(code.has_value());
  CHECK(code->reason == Reason::kRetry);
}

TEST_CASE("numbers out of range are refused") {
  CHECK(decode_announcement(from_hex("08ffff03")).has_value());          // port 65535
  CHECK_FALSE(decode_announcement(from_hex("08808004")).has_value());    // port 65536
  CHECK(decode_announcement(from_hex("0801508002")).has_value());        // weight 256
  CHECK_FALSE(decode_announcement(from_hex("0801508102")).has_value());  // weight 257
  CHECK_FALSE(decode_departure(from_hex("10808004")).has_value());       // port 65536
}

TEST_CASE("a control byte in a name is refused, one in a reason is shown as a space") {
  for (int byte = 0; byte < 256; ++byte) {
    const std::string text = std::string("a") + static_cast<char>(byte) + "b";
    const bool is_control = byte < 0x20 || byte == 0x7f;
    CAPTURE(byte);
    CHECK(decode_announcement(as_bytes(string_field(2, text))).has_value() == !is_control);
    CHECK(decode_announcement(as_bytes(string_field(3, text))).has_value() == !is_control);
    CHECK(decode_departure(as_bytes("\x62" + string_field(0, text).substr(1))).has_value() == !is_control);
    CHECK(decode_departure(as_bytes(string_field(1, text))).has_value() == !is_control);
    CHECK(decode_announce_answer(as_bytes(string_field(12, text))).has_value() == !is_control);
    CHECK(decode_depart_answer(as_bytes(string_field(12, text))).has_value() == !is_control);
  }
  const auto answer = decode_announce_answer(as_bytes(string_field(2, "first\nsecond")));
  REQUIRE(answer.has_value());
  CHECK(answer->reason_text == "first second");
}

TEST_CASE("a string that is too long is refused, not cut") {
  CHECK(decode_announcement(as_bytes(string_field(2, std::string(64, 'p')))).has_value());
  CHECK_FALSE(decode_announcement(as_bytes(string_field(2, std::string(65, 'p')))).has_value());
  CHECK_FALSE(decode_announcement(as_bytes(string_field(3, std::string(33, 'w')))).has_value());
}

TEST_CASE("every cut of a message either reads as less or is refused") {
  const auto whole = from_hex("08903f12037765621a05726561647950645801600268ffffffffffffffffff01");
  REQUIRE(decode_announcement(whole).has_value());
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const auto said = decode_announcement(Bytes(whole).first(size));
    if (said) CHECK(said->nonce == 0);
  }
}

TEST_CASE("random bytes never do more than fail") {
  Rng rng(20);
  std::array<std::uint8_t, 64> bytes{};
  std::size_t read = 0;
  for (int i = 0; i < 50'000; ++i) {
    const std::size_t size = rng.below(std::uint64_t{bytes.size() + 1});
    for (std::uint8_t& byte : bytes)
      byte = static_cast<std::uint8_t>(rng.below(std::uint64_t{rng.one_in(2) ? 256u : 32u}));
    const Bytes payload = Bytes(bytes).first(size);
    const auto said = decode_announcement(payload);
    if (said) {
      ++read;
      CHECK(said->weight >= 1);
      CHECK(said->weight <= 256);
    }
    (void)decode_announce_answer(payload);
    (void)decode_departure(payload);
    (void)decode_depart_answer(payload);
    (void)decode_solicitation(payload);
    (void)decode_steering(payload);
    (void)decode_steering_answer(payload);
  }
  CHECK(read > 0);
}

}  // namespace shoal::announce
