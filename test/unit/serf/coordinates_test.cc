#include "serf/coordinates.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <vector>

namespace shoal::serf {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

Coordinate at(double x, double y = 0) {
  Coordinate out;
  out.vec[0] = x;
  out.vec[1] = y;
  return out;
}

struct Peers {
  std::map<std::string, Coordinate> at = {
      {"b", {{0.01, 0, 0, 0, 0, 0, 0, 0}, 0.5, 0, 0.0002}},
      {"c", {{0, 0.02, 0, 0, -0.005, 0, 0, 0.001}, 1.5, -0.0003, 1e-5}},
      {"d", {{0.5, 0.25, -0.125, 0, 0, 0, 2.0, 0}, 0.1, 0.004, 0.03}},
  };
  std::map<std::string, PeerCoordinate> known;
};

// What a program in another language, written from the formulas alone, says after each ack; to the last bit.
struct Step {
  const char* peer;
  std::int64_t rtt_ns;
  Coordinate own;
};
const Step kSteps[] = {
    {"b",
     30000000,
     {{-0x1.e65be3488b444p-9, 0, 0, 0, 0, 0, 0, 0},
      0x1.57a9fbe76c8b4p+0,
      0x1.a377ecff24ec3p-12,
      0x1.70c6b6dc8f602p-14}},
    {"b",
     5000000,
     {{-0x1.ad6cb24fcccbep-8, 0, 0, 0, 0, 0, 0, 0},
      0x1.315085bb27321p+0,
      0x1.7d6feb34d4e84p-11,
      0x1.358b7972e39d7p-13}},
    {"c",
     80000000,
     {{-0x1.1620bd7b1167ap-7, -0x1.831fbcfe86899p-8, 0, 0, 0x1.831fbcfe86899p-10, 0, 0, -0x1.35b2fd986ba14p-12},
      0x1.23f92d2f4f8efp+0,
      0x1.08eaebe78c5a4p-9,
      0x1.9729ceb1c417fp-13}},
    {"b",
     900000000,
     {{-0x1.4208fe02c87b9p-7, -0x1.9f2e74597816bp-8, 0, 0, 0x1.9f2e74597816bp-10, 0, 0, -0x1.4c2529e12cdefp-12},
      0x1.fa88995f739b1p-1,
      0x1.256c943e88cb5p-9,
      0x1.d3128b2fa5a7dp-13}},
    {"d",
     2500000000,
     {{-0x1.fae122147b341p-6, -0x1.15b0bc8ea53c1p-6, 0x1.533214e222c48p-8, 0, 0x1.b05ec8764f673p-10, 0,
       -0x1.533214e222c48p-4, -0x1.59e56d2b72b8fp-12},
      0x1.993194e482943p-1,
      0x1.3e09e3cddfecp-7,
      0x1.826dd1f8150d6p-10}},
    {"c",
     0,
     {{-0x1.ee79cfe1ead5fp-6, -0x1.06e0d62e9ad6dp-6, 0x1.4ae535137bcd8p-8, 0, 0x1.85b8ee9373c01p-10, 0,
       -0x1.4ae535137bcd8p-4, -0x1.37c72542c3001p-12},
      0x1.84b24750193a1p-1,
      0x1.31842789c8a64p-7,
      0x1.78e8a20fe13e2p-10}},
    {"b",
     12345678,
     {{-0x1.8cbe5eb45bb74p-6, -0x1.bfb409dc75007p-7, 0x1.19c55e2525032p-8, 0, 0x1.4bdd576e9ffa7p-10, 0,
       -0x1.19c55e2525032p-4, -0x1.097ddf8bb32ecp-12},
      0x1.8p+0,
      0x1.f4e877346c04dp-8,
      0x1.392b80bc996ccp-10}},
    {"c",
     7000000,
     {{-0x1.5a32b84f529adp-6, -0x1.332c9ef5a7e0dp-7, 0x1.ebbf04ed6d467p-9, 0, 0x1.ea68e3f789ebep-12, 0,
       -0x1.ebbf04ed6d467p-5, -0x1.8853e992d4bccp-14},
      0x1.8p+0,
      0x1.8b4aaabd74b7ap-8,
      0x1.10f014dfe0003p-10}},
    {"c",
     9999999,
     {{-0x1.2f0e4ff852578p-6, -0x1.7674bdecb5b35p-8, 0x1.ae77570ed96c2p-9, 0, -0x1.c014c9111dc76p-13, 0,
       -0x1.ae77570ed96c2p-5, 0x1.66770740e49f8p-15},
      0x1.8p+0,
      0x1.30441ef0ce3e6p-8,
      0x1.dd32635b62225p-11}},
    {"d",
     10000000000,
     {{-0x1.daa876b469b5ep-2, -0x1.cd34b84fd97a6p-3, 0x1.d0755abce2698p-4, 0, -0x1.a051368477944p-12, 0,
       -0x1.d0755abce2698p+0, 0x1.4d0dc536c6104p-14},
      0x1.54f1f0eb5c7c5p+0,
      0x1.3b4cd83d18739p-3,
      0x1.c197f3c4af5bp-6}},
    {"d",
     1000000000,
     {{-0x1.793a7eb6dbbb2p-2, -0x1.6d1af44c4459ep-3, 0x1.7009557894825p-4, 0, -0x1.773096281442fp-12, 0,
       -0x1.7009557894825p+0, 0x1.2c26de86769cp-14},
      0x1.2dca9c725d5aep+0,
      0x1.017502882970ap-3,
      0x1.64a9601af72c6p-6}},
    {"b",
     20000000,
     {{-0x1.2f6698ed08c3fp-2, -0x1.2789ba500672bp-3, 0x1.29e92138f1ccp-4, 0, -0x1.2fb37475acafdp-12, 0,
       -0x1.29e92138f1ccp+0, 0x1.e5ebed89144c9p-15},
      0x1.8p+0,
      0x1.86cde32bf9236p-4,
      0x1.20143b3b3d537p-6}},
};
const Coordinate kAfterThirtyMore = {{0x1.0a7c7f82aa42bp-2, 0x1.0f22c13be1b57p-3, -0x1.07a15036ae83dp-4, 0,
                                      -0x1.e05c414ccc694p-11, 0, 0x1.07a15036ae83dp+0, 0x1.8049cdd709edep-13},
                                     0x1.8p+0,
                                     -0x1.c6d91bf41317ap-2,
                                     0x1.4f8b588e368f1p-17};

void check_same(const Coordinate& a, const Coordinate& b) {
  for (std::size_t i = 0; i < a.vec.size(); ++i) {
    CAPTURE(i);
    CHECK(a.vec[i] == b.vec[i]);
  }
  CHECK(a.error == b.error);
  CHECK(a.adjustment == b.adjustment);
  CHECK(a.height == b.height);
}

TEST_CASE("a coordinate moves as the formulas say, to the last bit") {
  Peers peers;
  Coordinates me(Rng(1));
  for (const Step& step : kSteps) {
    CAPTURE(step.peer);
    CAPTURE(step.rtt_ns);
    PeerCoordinate& peer = peers.known[step.peer];
    CHECK(me.update(peer, peers.at[step.peer], Duration(step.rtt_ns)) == CoordinateVerdict::kTaken);
    check_same(me.own(), step.own);
    CHECK(peer.known);
    CHECK(peer.at == peers.at[step.peer]);
  }
  for (int i = 0; i < 30; ++i) {  // More than the adjustment's window holds.
    const std::string name(1, "bcd"[i % 3]);
    (void)me.update(peers.known[name], peers.at[name], Duration(10'000'000 + i * 1'234'567));
  }
  check_same(me.own(), kAfterThirtyMore);
  CHECK(estimate(me.own(), peers.at["b"]).count() == 625'970'906);
  CHECK(estimate(me.own(), peers.at["c"]).count() == 625'586'356);
  CHECK(estimate(me.own(), peers.at["d"]).count() == 597'925'729);
  CHECK(me.resets() == 0);
  CHECK(me.count(CoordinateVerdict::kTaken) == 42);
}

TEST_CASE("an estimate is the way plus both heights and adjustments; the adjustments only while the sum is positive") {
  Coordinate a = at(0.003);
  Coordinate b = at(0, 0.004);
  a.height = 0.001;
  b.height = 0.0005;
  CHECK(estimate(a, b) == 6'500us);
  CHECK(estimate(b, a) == 6'500us);
  a.adjustment = 0.002;
  b.adjustment = -0.001;
  CHECK(estimate(a, b) == 7'500us);
  b.adjustment = -0.5;
  CHECK(estimate(a, b) == 6'500us);
}

TEST_CASE("an estimate of anything at all is a Duration that is not negative") {
  Coordinate far_off = at(1e300);
  CHECK(estimate(far_off, Coordinate{}) == Duration::max());
  far_off = at(1e11);
  CHECK(estimate(far_off, Coordinate{}) == Duration::max());
  far_off = at(kNan);
  CHECK(estimate(far_off, Coordinate{}) == Duration::max());
  far_off = at(-kInfinity);
  CHECK(estimate(far_off, far_off) == Duration::max());
  Coordinate sunk;
  sunk.height = -7;
  CHECK(estimate(sunk, Coordinate{}) == Duration{});
}

TEST_CASE("one odd round trip in three does not count, and the fourth pushes the first out") {
  Coordinates me(Rng(1));
  Coordinates calm(Rng(1));
  PeerCoordinate peer;
  PeerCoordinate calm_peer;
  const Coordinate other = at(0.02);
  for (const Duration rtt : {20ms, 21ms, 5'000ms}) (void)me.update(peer, other, rtt);
  for (const Duration rtt : {20ms, 21ms, 21ms}) (void)calm.update(calm_peer, other, rtt);
  check_same(me.own(), calm.own());
  (void)me.update(peer, other, 4'000ms);
  REQUIRE(peer.rtts.size() == 3);
  CHECK(peer.rtts[0] == 21ms);
  CHECK(peer.rtts[2] == 4'000ms);
  (void)calm.update(calm_peer, other, 21ms);
  CHECK(me.own().error > calm.own().error);  // Two of three: now it does.
}

TEST_CASE("no time at all counts as a microsecond") {
  Coordinates me(Rng(1));
  PeerCoordinate peer;
  (void)me.update(peer, at(0.02), 0s);
  CHECK(me.own().vec[0] == doctest::Approx(0.125 * (0.02002 - 1e-6)).epsilon(5e-9));
  CHECK(me.own().error == kCoordinateErrorMax);
}

TEST_CASE("what is no coordinate, what nobody honest has, and an impossible round trip change nothing") {
  struct Bad {
    const char* what;
    CoordinateVerdict verdict;
    void (*spoil)(Coordinate&);
    Duration rtt = 20ms;
  } const rows[] = {
      {"nan vec", CoordinateVerdict::kNotFinite, [](Coordinate& c) { c.vec[7] = kNan; }},
      {"inf vec", CoordinateVerdict::kNotFinite, [](Coordinate& c) { c.vec[0] = kInfinity; }},
      {"-inf error", CoordinateVerdict::kNotFinite, [](Coordinate& c) { c.error = -kInfinity; }},
      {"nan error", CoordinateVerdict::kNotFinite, [](Coordinate& c) { c.error = kNan; }},
      {"nan adjustment", CoordinateVerdict::kNotFinite, [](Coordinate& c) { c.adjustment = kNan; }},
      {"inf height", CoordinateVerdict::kNotFinite, [](Coordinate& c) { c.height = kInfinity; }},
      {"far off", CoordinateVerdict::kAbsurd, [](Coordinate& c) { c.vec[3] = -3601; }},
      {"huge adjustment", CoordinateVerdict::kAbsurd, [](Coordinate& c) { c.adjustment = 1e9; }},
      {"huge height", CoordinateVerdict::kAbsurd, [](Coordinate& c) { c.height = 1e300; }},
      {"huge error", CoordinateVerdict::kAbsurd, [](Coordinate& c) { c.error = 1e10; }},
      {"negative error", CoordinateVerdict::kAbsurd, [](Coordinate& c) { c.error = -1.5; }},
      {"negative height", CoordinateVerdict::kAbsurd, [](Coordinate& c) { c.height = -0.001; }},
      {"negative rtt", CoordinateVerdict::kRttOutOfRange, [](Coordinate&) {}, -1ns},
      {"long rtt", CoordinateVerdict::kRttOutOfRange, [](Coordinate&) {}, 10s + 1ns},
  };
  for (const Bad& row : rows) {
    CAPTURE(row.what);
    Coordinates me(Rng(3));
    PeerCoordinate peer;
    (void)me.update(peer, at(0.02), 20ms);
    const Coordinate before = me.own();
    Coordinate other = at(0.03);
    row.spoil(other);
    CHECK(me.update(peer, other, row.rtt) == row.verdict);
    CHECK(me.count(row.verdict) == 1);
    check_same(me.own(), before);
    check_same(peer.at, at(0.02));
    CHECK(peer.rtts.size() == 1);
    PeerCoordinate stranger;
    (void)me.update(stranger, other, row.rtt);
    CHECK(!stranger.known);
  }
  Coordinates me(Rng(3));
  PeerCoordinate peer;
  CHECK(me.update(peer, at(-3600), 10s) == CoordinateVerdict::kTaken);  // The edges are inside.
  CHECK(me.update(peer, at(0), 0s) == CoordinateVerdict::kTaken);
}

TEST_CASE("two nodes in one place part in a direction of chance that the seed decides") {
  Coordinates a(Rng(1));
  Coordinates same(Rng(1));
  Coordinates b(Rng(2));
  PeerCoordinate pa;
  PeerCoordinate ps;
  PeerCoordinate pb;
  (void)a.update(pa, Coordinate{}, 100ms);
  (void)same.update(ps, Coordinate{}, 100ms);
  (void)b.update(pb, Coordinate{}, 100ms);
  check_same(a.own(), same.own());
  CHECK(a.own() != b.own());
  double length = 0;
  for (const double x : a.own().vec) length += x * x;
  // A quarter of half of what is missing; gravity takes next to nothing of it.
  CHECK(std::sqrt(length) == doctest::Approx(0.125 * (0.1 - 2e-5)).epsilon(1e-6));
  CHECK(a.own().height == doctest::Approx(kCoordinateHeightMin).epsilon(1e-10));  // Only force between places lifts.
}

TEST_CASE("the height never falls below its least, whatever the round trips are") {
  Coordinates me(Rng(9));
  Rng chance(10);
  std::vector<PeerCoordinate> peers(5);
  for (int i = 0; i < 5'000; ++i) {
    Coordinate other = at(static_cast<double>(chance.below(std::uint64_t{1000})) / 1e3);
    other.height = static_cast<double>(chance.below(std::uint64_t{100})) / 1e4;
    (void)me.update(peers[chance.below(std::uint64_t{5})], other, chance.below(i % 3 == 0 ? 2s : 2ms));
    REQUIRE(me.own().height >= kCoordinateHeightMin);
    REQUIRE(me.own().error <= kCoordinateErrorMax);
    REQUIRE(me.own().error >= 0);
  }
}

TEST_CASE("a coordinate that has become nonsense begins anew, and can be used at once") {
  Coordinates me(Rng(4));
  PeerCoordinate peer;
  Coordinate high = at(2e-6);  // Close by and an hour up: the height is multiplied by what the way is short of.
  high.height = 3600;
  high.error = 0;
  for (int i = 0; i < 50 && me.resets() == 0; ++i) {
    Coordinate other = high;
    for (std::size_t k = 0; k < other.vec.size(); ++k) other.vec[k] += me.own().vec[k];
    if (std::fabs(other.vec[0]) > 3600) other = high;
    (void)me.update(peer, other, i % 2 == 0 ? 0s : 10s);
    for (const double x : me.own().vec) REQUIRE(std::fabs(x) <= Coordinates::kReachMax);
    REQUIRE(me.own().height <= Coordinates::kReachMax);
  }
  REQUIRE(me.resets() == 1);
  check_same(me.own(), Coordinate{});
  PeerCoordinate friendly;
  (void)me.update(friendly, at(0.05), 50ms);
  CHECK(me.resets() == 1);
  CHECK(std::fabs(me.own().adjustment) < 0.01);  // Nothing is left of what was measured before.
}

struct World {
  explicit World(std::uint64_t seed, std::size_t size, bool line) : chance(seed) {
    for (std::size_t i = 0; i < size; ++i) {
      nodes.emplace_back(Rng(seed + i));
      known.emplace_back(size);
      place.push_back({line ? static_cast<double>(i) * 0.01 : unit() * 0.1, line ? 0 : unit() * 0.1});
    }
  }
  double unit() { return static_cast<double>(chance.below(std::uint64_t{1'000'000})) / 1e6; }
  [[nodiscard]] Duration rtt(std::size_t a, std::size_t b) const {
    const double dx = place[a].first - place[b].first;
    const double dy = place[a].second - place[b].second;
    return Duration(static_cast<std::int64_t>((std::sqrt(dx * dx + dy * dy) + 0.002) * 1e9));
  }
  void round() {
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      const std::size_t k = (i + 1 + chance.below(std::uint64_t{nodes.size() - 1})) % nodes.size();
      (void)nodes[i].update(known[i][k], nodes[k].own(), rtt(i, k));
    }
  }
  /// |estimate - truth| / truth of all pairs, the middle one and the 90th percentile.
  [[nodiscard]] std::pair<double, double> errors() const {
    std::vector<double> all;
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      for (std::size_t k = 0; k < i; ++k) {
        const double truth = static_cast<double>(rtt(i, k).count());
        const double said = static_cast<double>(estimate(nodes[i].own(), nodes[k].own()).count());
        all.push_back(std::fabs(said - truth) / truth);
      }
    }
    std::sort(all.begin(), all.end());
    return {all[all.size() / 2], all[all.size() * 9 / 10]};
  }
  Rng chance;
  std::vector<Coordinates> nodes;
  std::vector<std::vector<PeerCoordinate>> known;
  std::vector<std::pair<double, double>> place;
};

TEST_CASE("thirty nodes find out where they are: in a plane and on a line") {
  for (const bool line : {false, true}) {
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
      CAPTURE(line);
      CAPTURE(seed);
      World world(seed, 30, line);
      world.round();
      CHECK(world.errors().first > 0.3);  // They know nothing yet.
      for (int i = 0; i < 1'000; ++i) world.round();
      const auto [middle, most] = world.errors();
      CHECK(middle < 0.005);
      CHECK(most < 0.03);
      for (const Coordinates& node : world.nodes) CHECK(node.resets() == 0);
    }
  }
}

TEST_CASE("gravity keeps a pair from drifting away") {
  Coordinates a(Rng(1));
  Coordinates b(Rng(2));
  PeerCoordinate of_a;
  PeerCoordinate of_b;
  const Coordinate far_off = at(3000);
  PeerCoordinate lure;
  (void)a.update(lure, far_off, 10s);  // One lie; it moves a far.
  const auto off = [](const Coordinates& c) { return estimate(c.own(), Coordinate{}); };
  const Duration before = off(a);
  REQUIRE(before > 100s);
  for (int i = 0; i < 2'000; ++i) {
    (void)a.update(of_b, b.own(), 20ms);
    (void)b.update(of_a, a.own(), 20ms);
  }
  CHECK(off(a) < 15s);
  CHECK(estimate(a.own(), b.own()) > 15ms);
  CHECK(estimate(a.own(), b.own()) < 25ms);
}

}  // namespace
}  // namespace shoal::serf
