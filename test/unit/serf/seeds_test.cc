#include "serf/seeds.h"

#include <doctest/doctest.h>

#include <set>

#include "support/lone_node.h"

namespace shoal::serf {
namespace {

using test::LoneNode;
using test::peer;

struct Seeking {
  explicit Seeking(const SeedOptions& options) : seeds(options, Rng(5)) { seeds.start(now); }
  /// The next round; the pause before it.
  Duration next_round() {
    const Duration pause = seeds.next_deadline() - now;
    now = seeds.next_deadline();
    effects.clear();
    seeds.on_deadline(now, effects);
    return pause;
  }
  std::vector<Endpoint> joins(std::size_t seed, const std::vector<Endpoint>& addresses, const Node& node) {
    effects.clear();
    seeds.on_resolved(now, seed, addresses, node, effects);
    std::vector<Endpoint> out;
    for (const SeedEffect& effect : effects) {
      CHECK(effect.kind == SeedEffect::Kind::kJoin);
      CHECK(effect.seed == seed);
      out.push_back(effect.to);
    }
    return out;
  }
  Instant now{};
  Seeds seeds;
  Seeds::Effects effects;
};

TEST_CASE("the first round comes at once and asks for every seed anew, as does each later one") {
  Seeking seeking({.seeds = 3});
  std::set<std::size_t> first_ones;
  for (std::uint64_t round = 1; round <= 20; ++round) {
    const Duration pause = seeking.next_round();
    if (round == 1) CHECK(pause == Duration{});
    REQUIRE(seeking.effects.size() == 3);
    for (std::size_t i = 0; i < 3; ++i) {
      CHECK(seeking.effects[i].kind == SeedEffect::Kind::kResolve);
      CHECK(seeking.effects[i].seed == (seeking.effects[0].seed + i) % 3);  // From another one each time, all of them.
    }
    first_ones.insert(seeking.effects[0].seed);
    CHECK(seeking.seeds.rounds() == round);
  }
  CHECK(first_ones.size() == 3);
}

TEST_CASE("while nobody is known the pauses double from 250 ms to 5 s, with jitter, for ever") {
  Seeking seeking({.seeds = 1});
  seeking.next_round();
  Duration expected = 250ms;
  bool jitter = false;
  for (int round = 0; round < 200; ++round) {
    const Duration pause = seeking.next_round();
    CHECK(pause >= expected * 3 / 4);
    CHECK(pause <= expected * 5 / 4);
    jitter = jitter || pause != expected;
    expected = std::min<Duration>(expected * 2, 5s);
  }
  CHECK(jitter);
}

TEST_CASE("once somebody is known the pace is slow, and after a loss it is quick again from the start") {
  Seeking seeking({.seeds = 1, .keep_interval = 30s});
  for (int i = 0; i < 10; ++i) seeking.next_round();
  seeking.seeds.on_contact(seeking.now, true);
  CHECK(seeking.seeds.contact());
  for (int i = 0; i < 20; ++i) {
    const Duration pause = seeking.next_round();
    CHECK(pause >= 22'500ms);
    CHECK(pause <= 37'500ms);
    CHECK(seeking.effects.size() == 1);
    seeking.seeds.on_contact(seeking.now, true);  // No news: the pace stays.
  }
  seeking.now += 1s;
  seeking.seeds.on_contact(seeking.now, false);
  CHECK(seeking.next_round() <= 313ms);
  CHECK(seeking.next_round() <= 313ms);
  CHECK(seeking.next_round() <= 625ms);
}

TEST_CASE("without seeds nothing is ever due") {
  Seeking seeking({.seeds = 0});
  CHECK(seeking.seeds.next_deadline() == kNever);
  seeking.seeds.on_contact(seeking.now, true);
  seeking.seeds.on_contact(seeking.now, false);
  CHECK(seeking.seeds.next_deadline() == kNever);
}

TEST_CASE("before its time a round does nothing") {
  Seeking seeking({.seeds = 1});
  seeking.next_round();
  seeking.effects.clear();
  seeking.seeds.on_deadline(seeking.now, seeking.effects);
  CHECK(seeking.effects.empty());
  CHECK(seeking.seeds.rounds() == 1);
}

TEST_CASE("neither our own address nor a living member's is joined; a stranger's, a failed or departed member's is") {
  LoneNode me;
  me.know("alive", 2);
  me.know("failed", 3);
  me.know("left", 4);
  me.know("leaving", 5);
  me.hear(test::dead(1, "failed", "x"));
  me.hear(test::user_of(wire::LeaveIntent{5, "left", false}));
  me.hear(test::dead(1, "left", "left"));
  Seeking seeking({.seeds = 2});
  const Endpoint mapped_me{*IpAddress::parse("::ffff:10.0.0.1"), 7946},
      mapped_alive{*IpAddress::parse("::ffff:10.0.0.2"), 7946};
  const std::vector<Endpoint> all = {peer(1), mapped_me, peer(2), mapped_alive,
                                     peer(3), peer(4),   peer(9), peer(2, 7999)};
  CHECK(seeking.joins(1, all, me.node) == std::vector<Endpoint>{peer(3), peer(4), peer(9), peer(2, 7999)});
  CHECK(seeking.joins(0, {}, me.node).empty());
  me.command([&] { me.node.leave(me.now, me.out()); });
  CHECK(seeking.joins(1, {peer(1)}, me.node).empty());
}

TEST_CASE("of one name at most sixteen addresses are taken") {
  LoneNode me;
  Seeking seeking({.seeds = 1});
  std::vector<Endpoint> many;
  for (std::uint8_t i = 100; i < 150; ++i) many.push_back(peer(i));
  CHECK(seeking.joins(0, many, me.node).size() == Seeds::kAddressesMax);
}

TEST_CASE("the most seeds there may be fit into one round's effects, and full effects stop the joins") {
  LoneNode me;
  Seeking seeking({.seeds = Seeds::kSeedsMax});
  seeking.next_round();
  CHECK(seeking.effects.size() == Seeds::kSeedsMax);
  std::vector<Endpoint> many;
  for (std::uint8_t i = 100; i < 116; ++i) many.push_back(peer(i));
  for (std::size_t seed = 0; seed < 8; ++seed)
    seeking.seeds.on_resolved(seeking.now, seed, many, me.node, seeking.effects);
  CHECK(seeking.effects.full());
}

}  // namespace
}  // namespace shoal::serf
