// Small samples of the experiments behind docs/gossip-results.md: bounds on the behaviour, not the figures themselves.
#include "sim/results.h"

#include <doctest/doctest.h>

namespace shoal::test {
namespace {

TEST_CASE("the wait for the probe that notices a crash does not grow with the cluster") {
  for (const std::size_t nodes : {8, 64}) {
    CAPTURE(nodes);
    const Detection d = detection(nodes, 25, 7000);
    REQUIRE(d.all_failed.values.size() == 25);
    // One period in the mean, with a standard deviation of one: of 25 trials 0.4 to 1.6 is three deviations.
    CHECK(d.first_probe.mean() > 0.4);
    CHECK(d.first_probe.mean() < 1.6);
  }
}

TEST_CASE("news reaches half of a cluster within serf's formula and a round, and nearly everybody by gossip alone") {
  const Dissemination d = dissemination(64, 10, 7100);
  CHECK(d.half.quantile(0.5) < 1.0);
  CHECK(d.most.quantile(0.5) < 1.8);
  CHECK(d.missed_ppm < 10'000);
}

TEST_CASE("a member at rest sends two datagrams a second, in a cluster of 8 and of 96") {
  for (const std::size_t nodes : {8, 96}) {
    CAPTURE(nodes);
    const Load l = load(nodes, 7200);
    CHECK(l.datagrams > 1.8);
    CHECK(l.datagrams < 2.2);
    CHECK(l.bytes < 400);
  }
}

TEST_CASE("Lifeguard takes away most of the false positives that slow members cause, and its suspicion most of them") {
  Anomalies anomalies;
  anomalies.nodes = 32;
  anomalies.anomalous = 8;
  anomalies.pause = 8s;
  anomalies.span = 90s;
  const auto all_of = [&](bool probe, bool suspicion, bool buddy) {
    std::uint64_t sum = 0;
    for (std::uint64_t seed = 7300; seed < 7303; ++seed) {
      sum += false_positives({"", probe, suspicion, buddy}, anomalies, seed).all;
    }
    return sum;
  };
  const std::uint64_t swim = all_of(false, false, false);
  CAPTURE(swim);
  REQUIRE(swim > 50);  // Otherwise there is nothing to take away.
  CHECK(all_of(true, true, true) * 5 < swim);
  CHECK(all_of(false, true, false) * 2 < swim);
}

TEST_CASE("few members call a leaver failed, and its process may end within two seconds") {
  const Leaves l = leaves(16, 10, 7400);
  CHECK(l.failed_first * 10 < l.verdicts);
  CHECK(l.seconds.quantile(1.0) < 2.5);
}

}  // namespace
}  // namespace shoal::test
