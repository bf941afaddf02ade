#include "sidecar/registry.h"

#include <doctest/doctest.h>

#include <string>

using namespace shoal;
using namespace shoal::sidecar;

namespace {

RegistryOptions small(std::uint32_t members = 8) {
  RegistryOptions options;
  options.members_max = members;
  options.tombstones_max = 4;
  return options;
}

announce::Announcement word(std::uint64_t start, std::uint64_t seq, std::uint64_t nonce = 0) {
  announce::Announcement out;
  out.port = 80;
  out.generation = {start, seq};
  out.nonce = nonce;
  return out;
}

announce::Departure farewell(std::uint64_t start, std::uint64_t seq) {
  announce::Departure out;
  out.port = 80;
  out.generation = {start, seq};
  return out;
}

const IpAddress kAddr = IpAddress::v4(10, 0, 0, 1);

}  // namespace

TEST_CASE("A server's name: node and start in base 36, at most 64 characters of HAProxy's alphabet") {
  const Registry registry(small());
  CHECK(registry.server_name("web-1", 1700000000000, 80) == "shoal-web-1-loyw3v28");
  CHECK(registry.server_name("web-1", 0, 8080) == "shoal-web-1-8080");
  const std::string fits(64 - 6 - 2, 'n');
  CHECK(registry.server_name(fits, 7, 80) == "shoal-" + fits + "-7");
  for (const std::string& node : {fits + "n", std::string("a b"), std::string("a\nb"), std::string("a/b")}) {
    const auto name = registry.server_name(node, 7, 80);
    CHECK(name.view().size() == 6 + 16 + 2);
    CHECK(name.view().find_first_not_of("0123456789abcdef", 6) == 22);
    CHECK(haproxy::is_name(name.view(), 64));
  }
  CHECK(!(registry.server_name("a b", 7, 80) == registry.server_name("a/b", 7, 80)));
  CHECK(registry.server_name(std::string(255, 'x'), ~std::uint64_t{0}, 80).view().size() <= 64);
  RegistryOptions longest;  // The longest prefix that the settings allow.
  longest.members_max = 2;
  longest.server_prefix = FixedString<32>(std::string(32, 'p'));
  const Registry prefixed(longest);
  const auto name = prefixed.server_name(std::string(255, 'x'), ~std::uint64_t{0}, 80);
  CHECK(name.view().size() <= 64);
  CHECK(name.view().substr(0, 32) == std::string(32, 'p'));
}

TEST_CASE("Within a start the highest seq wins, and a depart is final") {
  Registry r(small());
  const Instant now{};
  r.on_member(now, "a", kAddr, MemberStatus::kAlive);
  CHECK(r.on_announcement(now, "a", word(1, 5)) == WordVerdict::kTaken);
  CHECK(r.on_announcement(now, "a", word(1, 4)) == WordVerdict::kStale);
  CHECK(r.on_announcement(now, "a", word(1, 5)) == WordVerdict::kTaken);  // The same word again.
  CHECK(r.on_departure(now, "a", farewell(1, 4)) == WordVerdict::kStale);
  CHECK(r.on_departure(now, "a", farewell(1, 6)) == WordVerdict::kTaken);
  CHECK(r.on_departure(now, "a", farewell(1, 7)) == WordVerdict::kTaken);  // Asked again until drained.
  CHECK(r.on_announcement(now, "a", word(1, 99)) == WordVerdict::kStale);
  CHECK(r[r.find("a")].departed);
  CHECK(r.on_announcement(now, "a", word(2, 1)) == WordVerdict::kTaken);
  CHECK(!r[r.find("a")].departed);
  CHECK(r.on_announcement(now, "a", word(1, 100)) == WordVerdict::kStale);
  CHECK(r.stale_words() == 4);
}

TEST_CASE("A departure of a start that was never announced still ends it") {
  Registry r(small());
  const Instant now{};
  r.on_member(now, "a", kAddr, MemberStatus::kAlive);
  CHECK(r.on_departure(now, "a", farewell(3, 2)) == WordVerdict::kTaken);
  CHECK(r[r.find("a")].server == "shoal-a-3");
  CHECK(r.on_announcement(now, "a", word(3, 1)) == WordVerdict::kStale);
}

TEST_CASE("After failed or left only a later word counts, or one that answers a nonce") {
  for (const MemberStatus gone : {MemberStatus::kFailed, MemberStatus::kLeft, MemberStatus::kLeaving}) {
    Registry r(small());
    const Instant now{};
    r.on_member(now, "a", kAddr, MemberStatus::kAlive);
    REQUIRE(r.on_announcement(now, "a", word(1, 5)) == WordVerdict::kTaken);
    r[r.find("a")].reach = Reach::kReached;
    r.on_member(now, "a", kAddr, gone);
    r.on_member(now, "a", kAddr, MemberStatus::kAlive);
    CHECK(r[r.find("a")].needs_word);
    CHECK(r[r.find("a")].reach == Reach::kUnknown);
    CHECK(r.on_announcement(now, "a", word(1, 5)) == WordVerdict::kStale);
    CHECK(r.on_announcement(now, "a", word(1, 5, 42)) == WordVerdict::kTaken);
    CHECK(!r[r.find("a")].needs_word);
  }
}

TEST_CASE("Tombstones outlive the member, for 24 h, and are bounded") {
  Registry r(small());
  Instant now{};
  r.on_member(now, "a", kAddr, MemberStatus::kAlive);
  REQUIRE(r.on_announcement(now, "a", word(1, 5)) == WordVerdict::kTaken);
  r.on_member(now, "a", kAddr, MemberStatus::kReaped);
  r.forget(now, r.find("a"));
  CHECK(r.find("a") == Registry::kNone);
  CHECK(r.find_server("shoal-a-1") == Registry::kNone);
  r.on_member(now, "a", kAddr, MemberStatus::kAlive);
  CHECK(r.on_announcement(now, "a", word(1, 5)) == WordVerdict::kStale);  // A replay.
  CHECK(r.on_announcement(now, "a", word(1, 6)) == WordVerdict::kTaken);  // It did not depart: it may go on.
  CHECK(r.on_departure(now, "a", farewell(1, 7)) == WordVerdict::kTaken);
  r.forget(now, r.find("a"));
  now += 23h;
  CHECK(r.on_announcement(now, "a", word(1, 8)) == WordVerdict::kStale);
  now += 2h;
  CHECK(r.on_announcement(now, "a", word(1, 8)) == WordVerdict::kTaken);
  for (int i = 0; i < 40; ++i) {
    const std::string node = "n" + std::to_string(i);
    REQUIRE(r.on_announcement(now, node, word(1, 1)) == WordVerdict::kTaken);
    r.forget(now, r.find(node));
  }
}

TEST_CASE("A full registry refuses and counts, and has room again when one is forgotten") {
  Registry r(small(2));
  const Instant now{};
  r.on_member(now, "a", kAddr, MemberStatus::kAlive);
  r.on_member(now, "b", kAddr, MemberStatus::kAlive);
  CHECK(r.on_member(now, "c", kAddr, MemberStatus::kAlive) == Registry::kNone);
  CHECK(r.on_announcement(now, "c", word(1, 1)) == WordVerdict::kFull);
  CHECK(r.refused_full() == 2);
  r.forget(now, r.find("a"));
  CHECK(r.on_member(now, "c", kAddr, MemberStatus::kAlive) != Registry::kNone);
  CHECK(r.on_announcement(now, std::string(300, 'x'), word(1, 1)) == WordVerdict::kFull);
}

TEST_CASE("Missing words are filled in: pool and weight") {
  Registry r(small());
  announce::Announcement said = word(1, 1);
  said.weight = 0;
  REQUIRE(r.on_announcement(Instant{}, "a", said) == WordVerdict::kTaken);
  CHECK(r[r.find("a")].word.pool == "shoal");
  CHECK(r[r.find("a")].word.weight == 100);
  said.weight = 9999;
  said.generation.seq = 2;
  REQUIRE(r.on_announcement(Instant{}, "a", said) == WordVerdict::kTaken);
  CHECK(r[r.find("a")].word.weight == 256);
}

TEST_CASE("A place goes to the last one that announced it, and back") {
  Registry r(small());
  const Instant now{};
  const auto has_it = [&r](std::string_view node) { return !r[r.find(node)].shadowed; };
  for (const std::string_view node : {"a", "b", "c"}) {
    r.on_member(now, node, kAddr, MemberStatus::kAlive);
    REQUIRE(r.on_announcement(now, node, word(1, 1)) == WordVerdict::kTaken);
  }
  CHECK(!has_it("a"));
  CHECK(!has_it("b"));
  CHECK(has_it("c"));
  // Whatever answers at the place while "c" still drains is "c", not who was there before.
  REQUIRE(r.on_departure(now, "c", farewell(1, 2)) == WordVerdict::kTaken);
  CHECK(!has_it("b"));
  r.on_member(now, "c", kAddr, MemberStatus::kLeft);
  CHECK(has_it("b"));
  CHECK(!has_it("a"));
  r.on_member(now, "b", IpAddress::v4(10, 0, 0, 2), MemberStatus::kAlive);  // Moved away.
  CHECK(has_it("a"));
  CHECK(has_it("b"));
  r.set_servable(r.find("a"), false);
  CHECK(has_it("a"));
}
