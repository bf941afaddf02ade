#include "swim/lifeguard.h"

#include <doctest/doctest.h>

#include <string>

namespace shoal::swim {
namespace {

constexpr Instant kStart = Instant{} + 100s;

std::int64_t ms(const Suspicion& suspicion) { return to_ms(suspicion.deadline() - kStart); }

TEST_CASE("a suspicion on LAN timings lasts 24 s, and 11.381 s and 4 s after one and two confirmations") {
  Suspicion suspicion(lan_timing(), 4, 1, kStart);
  CHECK(ms(suspicion) == 24'000);
  CHECK(suspicion.confirm(2));
  CHECK(ms(suspicion) == 11'381);
  CHECK(suspicion.confirm(3));
  CHECK(ms(suspicion) == 4'000);
  CHECK(suspicion.confirmations() == 2);
}

TEST_CASE("with three confirmations to come, a suspicion of 2 to 30 s goes down by 30, 16, 7.81, 2") {
  Timing timing = lan_timing();
  timing.suspicion_mult = 5;
  timing.probe_interval = 400ms;
  timing.suspicion_max_mult = 15;
  Suspicion suspicion(timing, 10, 1, kStart);
  const std::int64_t expected[] = {30'000, 16'000, 7'810, 2'000};
  for (std::uint64_t c = 0; c < 4; ++c) {
    CAPTURE(c);
    if (c > 0) CHECK(suspicion.confirm(10 + c));
    CHECK(ms(suspicion) == expected[c]);
  }
}

TEST_CASE("neither the first accuser, nor one who was heard, nor one too many confirms") {
  Suspicion suspicion(lan_timing(), 10, 1, kStart);
  CHECK_FALSE(suspicion.confirm(1));
  CHECK(ms(suspicion) == 24'000);
  CHECK(suspicion.confirm(2));
  CHECK_FALSE(suspicion.confirm(2));
  CHECK(ms(suspicion) == 11'381);
  CHECK(suspicion.confirm(3));
  CHECK_FALSE(suspicion.confirm(4));
  CHECK(suspicion.confirmations() == 2);
}

TEST_CASE("too few members to confirm: the suspicion takes the shortest time at once and nobody can confirm") {
  for (const std::size_t n : {std::size_t{0}, std::size_t{1}, std::size_t{2}, std::size_t{3}}) {
    CAPTURE(n);
    Suspicion suspicion(lan_timing(), n, 1, kStart);
    CHECK(ms(suspicion) == 4'000);
    CHECK_FALSE(suspicion.confirm(2));
  }
  CHECK(ms(Suspicion(lan_timing(), 4, 1, kStart)) == 24'000);
}

TEST_CASE("the shortest suspicion grows with the logarithm of the cluster, cut to thousandths") {
  CHECK(suspicion_min(lan_timing(), 0) == 4s);
  CHECK(suspicion_min(lan_timing(), 1) == 4s);
  CHECK(suspicion_min(lan_timing(), 10) == 4s);
  CHECK(suspicion_min(lan_timing(), 50) == 6792ms);  // log10(50) = 1.69897
  CHECK(suspicion_min(lan_timing(), 100) == 8s);
  CHECK(suspicion_min(lan_timing(), 1000) == 12s);
  Timing five = lan_timing();
  five.suspicion_mult = 5;
  CHECK(suspicion_min(five, 128) == 10535ms);  // log10(128) = 2.10721
  CHECK(suspicion_min(wan_timing(), 10) == 30s);
  CHECK(suspicion_min(local_timing(), 10) == 3s);
}

TEST_CASE("a broadcast is sent 4, 8, 12 times in clusters of up to 9, 99, 999") {
  CHECK(retransmit_limit(4, 1) == 4);
  CHECK(retransmit_limit(4, 9) == 4);
  CHECK(retransmit_limit(4, 10) == 8);
  CHECK(retransmit_limit(4, 99) == 8);
  CHECK(retransmit_limit(4, 100) == 12);
  CHECK(retransmit_limit(4, 999) == 12);
  CHECK(retransmit_limit(4, 1000) == 16);
  CHECK(retransmit_limit(2, 9) == 2);
}

TEST_CASE("push/pull is once an interval up to 32 members and rarer by one interval for each doubling") {
  const std::size_t sizes[] = {0, 1, 32, 33, 64, 65, 128, 129, 256, 257};
  const int expected[] = {1, 1, 1, 2, 2, 3, 3, 4, 4, 5};
  for (std::size_t i = 0; i < std::size(sizes); ++i) {
    CAPTURE(sizes[i]);
    CHECK(push_pull_scaled(30s, sizes[i]) == 30s * expected[i]);
  }
}

TEST_CASE("local health stays between 0 and 7 and scales a duration by one more than itself") {
  Awareness awareness(8);
  awareness.apply(-1);
  CHECK(awareness.score() == 0);
  CHECK(awareness.scale(1s) == 1s);
  awareness.apply(3);
  CHECK(awareness.score() == 3);
  CHECK(awareness.scale(1s) == 4s);
  awareness.apply(100);
  CHECK(awareness.score() == 7);
  CHECK(awareness.scale(500ms) == 4s);
  awareness.apply(-1);
  CHECK(awareness.score() == 6);
  awareness.apply(-100);
  CHECK(awareness.score() == 0);
  Awareness none(0);
  none.apply(5);
  CHECK(none.score() == 0);
}

TEST_CASE("the three profiles have memberlist's values") {
  const Timing lan = lan_timing(), wan = wan_timing(), local = local_timing();
  CHECK((lan.tcp_timeout == 10s && wan.tcp_timeout == 30s && local.tcp_timeout == 1s));
  CHECK((lan.indirect_checks == 3 && wan.indirect_checks == 3 && local.indirect_checks == 1));
  CHECK((lan.retransmit_mult == 4 && wan.retransmit_mult == 4 && local.retransmit_mult == 2));
  CHECK((lan.suspicion_mult == 4 && wan.suspicion_mult == 6 && local.suspicion_mult == 3));
  CHECK((lan.suspicion_max_mult == 6 && wan.suspicion_max_mult == 6 && local.suspicion_max_mult == 6));
  CHECK((lan.push_pull_interval == 30s && wan.push_pull_interval == 60s && local.push_pull_interval == 15s));
  CHECK((lan.probe_interval == 1s && wan.probe_interval == 5s && local.probe_interval == 1s));
  CHECK((lan.probe_timeout == 500ms && wan.probe_timeout == 3s && local.probe_timeout == 200ms));
  CHECK((lan.gossip_interval == 200ms && wan.gossip_interval == 500ms && local.gossip_interval == 100ms));
  CHECK((lan.gossip_nodes == 3 && wan.gossip_nodes == 4 && local.gossip_nodes == 3));
  CHECK((lan.gossip_to_the_dead == 30s && wan.gossip_to_the_dead == 60s && local.gossip_to_the_dead == 15s));
  CHECK((lan.awareness_max == 8 && wan.awareness_max == 8 && local.awareness_max == 8));
}

}  // namespace
}  // namespace shoal::swim
