#include "swim/members.h"

#include <doctest/doctest.h>

#include <set>
#include <string>

namespace shoal::swim {
namespace {

Slot add(Members& members, Rng& rng, std::string_view name, State state, Duration since) {
  const Slot slot = members.insert(name, rng);
  if (slot == kNoSlot) return slot;
  members[slot].state = state;
  members[slot].state_change = Instant{} + since;
  return slot;
}

TEST_CASE("a full table gives up those that left, oldest first, then the dead, oldest first, and never the living") {
  Rng rng(1);
  TextStore texts(6);
  Members members(6, 0, texts);
  add(members, rng, "alive", State::kAlive, 1s);
  add(members, rng, "suspect", State::kSuspect, 2s);
  add(members, rng, "dead-old", State::kDead, 3s);
  add(members, rng, "dead-new", State::kDead, 9s);
  add(members, rng, "left-new", State::kLeft, 8s);
  add(members, rng, "left-old", State::kLeft, 7s);
  for (const std::string victim : {"left-old", "left-new", "dead-old", "dead-new"}) {
    CAPTURE(victim);
    CHECK(members.find(victim) != kNoSlot);
    const std::string name = "instead-of-" + victim;
    CHECK(add(members, rng, name, State::kAlive, 20s) != kNoSlot);
    CHECK(members.find(victim) == kNoSlot);
    CHECK(members.find(name) != kNoSlot);
    CHECK(members.size() == 6);
  }
  CHECK(members.insert("one-too-many", rng) == kNoSlot);
  CHECK(members.find("alive") != kNoSlot);
  CHECK(members.find("suspect") != kNoSlot);
  CHECK(members.size() == 6);
}

TEST_CASE("a new record is dead with incarnation 0, whoever had its slot before") {
  Rng rng(1);
  TextStore texts(3);
  Members members(1, 0, texts);
  const Slot slot = add(members, rng, "a", State::kLeft, 1s);
  members[slot].incarnation = 7;
  members[slot].profile = Profile(texts, {}, {}, as_bytes("meta"));
  const Slot again = members.insert("b", rng);
  REQUIRE(again != kNoSlot);
  CHECK(members[again].name == "b");
  CHECK(members[again].incarnation == 0);
  CHECK(members[again].state == State::kDead);
  CHECK(members[again].meta().empty());
}

TEST_CASE("a slot stays its record's while others come and go") {
  Rng rng(1);
  TextStore texts(8);
  Members members(8, 0, texts);
  const Slot kept = add(members, rng, "kept", State::kAlive, 0s);
  for (int i = 0; i < 100; ++i) {
    const std::string name = "n" + std::to_string(i);
    add(members, rng, name, State::kAlive, 0s);
    if (i % 3 != 0) members.erase(members.find(name));
    if (members.size() == 8) members.erase(members.find("n" + std::to_string(i)));
    CHECK(members.find("kept") == kept);
    CHECK(members[kept].name == "kept");
    members.shuffle(rng);
  }
}

TEST_CASE("newcomers stand at any place of the probe order, each about equally often") {
  std::size_t places[5] = {};
  for (std::uint64_t seed = 0; seed < 1000; ++seed) {
    Rng rng(seed);
    TextStore texts(5);
    Members members(5, 0, texts);
    for (const std::string_view name : {"a", "b", "c", "d"}) add(members, rng, name, State::kAlive, 0s);
    const Slot slot = add(members, rng, "new", State::kAlive, 0s);
    for (std::size_t i = 0; i < 5; ++i) places[i] += members.slots()[i] == slot ? 1 : 0;
  }
  for (const std::size_t n : places) CHECK((n > 140 && n < 260));
}

TEST_CASE("compatible are those that speak memberlist 2 and serf 2 to 5") {
  struct {
    Versions versions;
    bool ok;
  } const rows[] = {
      {{1, 5, 2, 2, 5, 5}, true},  {{1, 5, 2, 2, 5, 4}, true},  {{2, 2, 2, 2, 2, 2}, true},
      {{0, 5, 2, 2, 5, 5}, false}, {{1, 0, 2, 2, 5, 5}, false}, {{5, 1, 2, 2, 5, 5}, false},
      {{3, 5, 3, 2, 5, 5}, false}, {{1, 1, 1, 2, 5, 5}, false}, {{1, 5, 6, 2, 5, 5}, false},
      {{1, 5, 0, 2, 5, 5}, false}, {{1, 5, 2, 2, 5, 1}, false}, {{1, 5, 2, 2, 5, 6}, false},
      {{1, 5, 2, 5, 2, 5}, false}, {{0, 0, 0, 0, 0, 0}, false},
  };
  for (const auto& row : rows) {
    CAPTURE(int{row.versions[0]});
    CAPTURE(int{row.versions[1]});
    CAPTURE(int{row.versions[2]});
    CAPTURE(int{row.versions[5]});
    CHECK(compatible(row.versions) == row.ok);
  }
}

}  // namespace
}  // namespace shoal::swim
