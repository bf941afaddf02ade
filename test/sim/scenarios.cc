#include "sim/scenarios.h"

namespace shoal::test {
namespace {

using serf::MemberEventKind;
using serf::Status;

std::vector<std::size_t> range(std::size_t begin, std::size_t end) {
  std::vector<std::size_t> out;
  for (std::size_t i = begin; i < end; ++i) out.push_back(i);
  return out;
}

/// A leaver whose death outruns its intent is called failed for a moment, as with serf itself; that its end is `left`
/// everywhere is a matter of agreement.
void expect_nobody_failed(Stage& stage) {
  for (const auto& event : stage.cluster.events) {
    if (event.kind != MemberEventKind::kFailed) continue;
    const Life* life = stage.cluster.life_of(event.about);
    if (life != nullptr && (life->leave_asked < event.at || life->started > event.at)) continue;
    stage.expect(false, event.about + " was called failed");
  }
}

// ---- Coming and going

void cold_start_storm(Stage& stage) {
  stage.start_all();
  // Two seconds as a rule; where gossip has missed somebody (about one run in five), a push/pull later.
  stage.expect_within(stage.checkers.bounds().spread, "not all have met", [&] { return stage.all_alive(); });
  stage.cluster.run_for(20s);
  expect_nobody_failed(stage);
  stage.checkers.expect_quiet(stage.cluster, 30s);
}

void slow_start(Stage& stage) {
  // The seeds come last, and one by one; the others have each other only through them.
  for (std::size_t i = 2; i < stage.cluster.size(); ++i) stage.start(i);
  stage.cluster.run_for(20s);
  stage.start(1);
  stage.cluster.run_for(40s);
  stage.start(0);
  stage.expect_agreement();
  expect_nobody_failed(stage);
}

void rolling_replacement(Stage& stage) {
  Cluster& cluster = stage.cluster;
  stage.settle_all();
  // Each task but the two seeds makes room for a successor: new name, new address.
  for (std::size_t i = 2; i < cluster.size(); ++i) {
    cluster.leave(i);
    stage.expect_within(10s, "a leave took long", [&] { return cluster.life(i).left; });
    if (cluster.failed()) return;
    cluster.crash(i);
    stage.start_as(i, "next-" + std::to_string(i), static_cast<std::uint32_t>(1000 + i));
    cluster.run_for(2s);
  }
  stage.expect_agreement();
  expect_nobody_failed(stage);
  stage.checkers.expect_quiet(cluster, 30s);
}

void kill_several(Stage& stage) {
  Cluster& cluster = stage.cluster;
  stage.settle_all();
  for (const std::size_t node : {3, 7, 8, 15, 20}) cluster.crash(node);
  stage.expect_within(stage.checkers.bounds().round + stage.checkers.bounds().suspicion_max, "not all failed", [&] {
    for (const std::size_t node : {3, 7, 8, 15, 20}) {
      if (!cluster.all_see(node, Status::kFailed)) return false;
    }
    return true;
  });
  stage.expect_agreement();
  stage.checkers.expect_quiet(cluster, 30s);
}

void kill_most(Stage& stage) {
  Cluster& cluster = stage.cluster;
  stage.settle_all();
  for (std::size_t i = 0; i < cluster.size() * 3 / 4; ++i) cluster.crash(i);
  stage.expect_agreement();
}

void leave_storm(Stage& stage) {
  Cluster& cluster = stage.cluster;
  stage.settle_all();
  for (std::size_t i = 0; i < cluster.size() * 2 / 3; ++i) {
    cluster.leave(i);
    cluster.run_for(stage.rng.below(Duration(60ms)));
  }
  for (std::size_t i = 0; i < cluster.size() * 2 / 3; ++i) {
    stage.expect_within(15s, "a leave took long", [&] { return cluster.life(i).left; });
    if (cluster.failed()) return;
    cluster.crash(i);
  }
  stage.expect_agreement();
  expect_nobody_failed(stage);
}

void last_one_leaves(Stage& stage) {
  Cluster& cluster = stage.cluster;
  stage.settle_all();
  for (std::size_t i = 0; i < cluster.size(); ++i) {
    cluster.leave(i);
    stage.expect_within(10s, "a leave took long", [&] { return cluster.life(i).left; });
    if (cluster.failed()) return;
    cluster.crash(i);
  }
  expect_nobody_failed(stage);
}

// ---- Names and addresses

void restart_same_name(Stage& stage) {
  Cluster& cluster = stage.cluster;
  stage.settle_all();
  cluster.crash(5);
  stage.start(5);  // Before anybody has noticed.
  stage.expect_within(40s, "it is not back", [&] { return stage.all_alive(); });
  cluster.run_for(5s);
  cluster.crash(5);
  stage.expect_within(60s, "it is not failed", [&] { return cluster.all_see(5, Status::kFailed); });
  stage.start(5);
  stage.expect_within(40s, "it is not back after it was failed", [&] { return cluster.all_see(5, Status::kAlive); });
  stage.expect_agreement();
}

void restart_again_and_again(Stage& stage) {
  Cluster& cluster = stage.cluster;
  stage.settle_all();
  for (int i = 0; i < 10; ++i) {
    cluster.crash(4);
    cluster.run_for(stage.rng.below(Duration(3s)));
    stage.start(4);
    cluster.run_for(stage.rng.below(Duration(5s)));
  }
  stage.expect_agreement();
  stage.checkers.expect_quiet(cluster, 30s);
}

void restart_elsewhere(Stage& stage) {
  Cluster& cluster = stage.cluster;
  stage.settle_all();
  cluster.crash(5);
  stage.start_as(5, Cluster::name(5), 1005);
  stage.expect_agreement();  // Refused while the name lives elsewhere; then forgotten; then taken.
}

void left_name_moves(Stage& stage) {
  Cluster& cluster = stage.cluster;
  stage.settle_all();
  cluster.leave(5);
  stage.expect_within(10s, "a leave took long", [&] { return cluster.life(5).left; });
  if (cluster.failed()) return;
  cluster.crash(5);
  stage.start_as(5, Cluster::name(5), 1005);
  // As quick as any join: seconds, or a push/pull where gossip has missed somebody. A dead name takes a minute more.
  stage.expect_within(40s, "a name that left was not taken from elsewhere",
                      [&] { return cluster.all_see(5, Status::kAlive); });
  stage.expect_agreement();
  expect_nobody_failed(stage);
}

void address_reuse(Stage& stage) {
  Cluster& cluster = stage.cluster;
  stage.settle_all();
  cluster.crash(5);
  stage.start_as(5, "heir", 5);  // Pings for the dead one arrive at the heir, who must not answer for it.
  stage.expect_within(60s, "the dead one is not failed", [&] { return cluster.all_see(5, Status::kFailed); });
  stage.expect_agreement();
}

// ---- The network

void partition_and_heal(Stage& stage) {
  Cluster& cluster = stage.cluster;
  stage.settle_all();
  const std::size_t n = cluster.size();
  cluster.cut_sets(range(0, n / 2), range(n / 2, n), true);
  stage.expect_within(3min, "the halves have not failed each other", [&] {
    for (std::size_t a = 0; a < n / 2; ++a) {
      for (std::size_t b = n / 2; b < n; ++b) {
        if (cluster.status(a, b) != Status::kFailed || cluster.status(b, a) != Status::kFailed) return false;
      }
    }
    return true;
  });
  cluster.run_for(1min);
  cluster.heal();
  stage.expect_agreement();
  stage.checkers.expect_quiet(cluster, 30s);
}

void long_partition(Stage& stage) {
  Cluster& cluster = stage.cluster;
  stage.settle_all();
  cluster.cut_sets(range(0, 2), range(2, cluster.size()), true);  // The seeds on one side.
  cluster.run_for(15min);  // Each side has forgotten the other: only the seeds are left to find it by.
  cluster.heal();
  stage.expect_agreement();
}

void mute_node(Stage& stage) {
  Cluster& cluster = stage.cluster;
  stage.settle_all();
  cluster.cut_sets({3}, range(0, cluster.size()), false);  // It hears everything and nobody hears it.
  stage.expect_within(90s, "a node that nobody hears is not failed", [&] {
    for (std::size_t viewer = 0; viewer < cluster.size(); ++viewer) {
      if (viewer != 3 && cluster.status(viewer, std::size_t{3}) != Status::kFailed) return false;
    }
    return true;
  });
  cluster.heal();
  stage.expect_agreement();
}

void deaf_node(Stage& stage) {
  Cluster& cluster = stage.cluster;
  stage.settle_all();
  cluster.cut_sets(range(0, cluster.size()), {3}, false);  // It is heard and hears nothing: it cannot answer a ping.
  cluster.run_for(2min);
  for (std::size_t i = 0; i < cluster.size(); ++i) {
    if (i == 3) continue;
    for (std::size_t viewer = 0; viewer < cluster.size(); ++viewer) {
      if (viewer != 3) stage.expect(cluster.status(viewer, i) == Status::kAlive, "it has convinced others of a death");
    }
  }
  cluster.heal();
  stage.expect_agreement();
}

void pairs_cut(Stage& stage) {
  Cluster& cluster = stage.cluster;
  stage.settle_all();
  for (std::size_t i = 0; i + 1 < cluster.size(); i += 2) cluster.cut(i, i + 1);
  cluster.run_for(5min);
  expect_nobody_failed(stage);  // Others ask for them.
  cluster.heal();
  stage.expect_agreement();
}

void udp_blocked(Stage& stage) {
  Cluster& cluster = stage.cluster;
  stage.settle_all();
  cluster.cut_datagrams_only(4);
  cluster.run_for(5min);
  expect_nobody_failed(stage);  // TCP pings keep it, and it the others.
  cluster.heal();
  stage.expect_agreement();
}

void heavy_loss(Stage& stage) {
  Cluster& cluster = stage.cluster;
  cluster.network().loss_ppm = 100'000;
  stage.start_all();
  stage.expect_within(60s, "not all have met", [&] { return stage.all_alive(); });
  cluster.run_for(10min);
  expect_nobody_failed(stage);
}

void bad_network(Stage& stage) {
  // Late, doubled and reordered datagrams; streams that dribble and break.
  Cluster& cluster = stage.cluster;
  cluster.network().latency_max = 80ms;
  cluster.network().late_ppm = 50'000;
  cluster.network().late_max = 2s;
  cluster.network().duplicate_ppm = 100'000;
  cluster.network().segment_bytes = 40;
  cluster.network().segment_gap = 5ms;
  cluster.stream_break_ppm = 2'000;
  stage.start_all();
  stage.expect_within(3min, "not all have met", [&] { return stage.all_alive(); });
  cluster.run_for(5min);
  stage.expect_agreement();
}

void lossy_links(Stage& stage) {
  Cluster& cluster = stage.cluster;
  stage.settle_all();
  // Each node loses half of what it sends to its right neighbours.
  for (std::size_t i = 0; i < cluster.size(); ++i) {
    for (std::size_t step = 1; step <= 3; ++step) cluster.lose_between(i, (i + step) % cluster.size(), 500'000);
  }
  cluster.run_for(5min);
  expect_nobody_failed(stage);
  cluster.heal();
  stage.expect_agreement();
}

// ---- Slow processes

void long_pause(Stage& stage) {
  Cluster& cluster = stage.cluster;
  stage.settle_all();
  cluster.freeze(3);
  stage.expect_within(60s, "a node that stands still is not failed",
                      [&] { return cluster.all_see(3, Status::kFailed); });
  cluster.run_for(30s);
  cluster.thaw(3);
  stage.expect_agreement();
  for (const auto& event : cluster.events) {
    // What it thought on waking is forgiven, of itself and by itself; the others must not have lost each other.
    if (event.kind == MemberEventKind::kFailed && event.node != 3) {
      stage.expect(event.about == Cluster::name(3), "another was failed");
    }
  }
}

void short_pauses(Stage& stage) {
  Cluster& cluster = stage.cluster;
  stage.settle_all();
  for (int round = 0; round < 20; ++round) {
    const std::size_t node = stage.rng.below(std::uint64_t{cluster.size()});
    cluster.freeze(node);
    cluster.run_for(2s);
    cluster.thaw(node);
    cluster.run_for(stage.rng.below(Duration(10s)));
  }
  expect_nobody_failed(stage);
  stage.expect_agreement();
}

void slow_node(Stage& stage) {
  Cluster& cluster = stage.cluster;
  stage.settle_all();
  cluster.slow(2, 400ms);
  cluster.run_for(5min);
  for (const auto& event : cluster.events) {
    if (event.kind != MemberEventKind::kFailed) continue;
    stage.expect(event.node == 2 || event.about == Cluster::name(2), "a healthy node failed a healthy one");
  }
  cluster.slow(2, Duration{});
  stage.expect_agreement();
}

void machine_sleeps(Stage& stage) {
  Cluster& cluster = stage.cluster;
  stage.settle_all();
  // Everybody stands still for an hour, as a laptop's virtual machines do, and wakes at once.
  for (std::size_t i = 0; i < cluster.size(); ++i) cluster.freeze(i);
  cluster.run_for(1h);
  for (std::size_t i = 0; i < cluster.size(); ++i) cluster.thaw(i);
  stage.expect_agreement();
}

// ---- Limits

void full_table(Stage& stage) {
  Cluster& cluster = stage.cluster;
  stage.start_all();
  cluster.run_for(2min);
  for (std::size_t i = 0; i < cluster.size(); ++i) {
    stage.expect(cluster.node(i).members().size() <= cluster.options().members_max, "a table beyond its limit");
    stage.expect(cluster.status(i, i) == Status::kAlive, "a full table has pushed out its own node");
  }
  expect_nobody_failed(stage);
  // Room again: everybody who is left finds a place everywhere.
  for (std::size_t i = 2; i < 2 + cluster.size() / 2; ++i) cluster.leave(i);
  cluster.run_for(15s);
  for (std::size_t i = 2; i < 2 + cluster.size() / 2; ++i) cluster.crash(i);
  stage.expect_agreement();
}

void far_ahead_clock(Stage& stage) {
  Cluster& cluster = stage.cluster;
  for (std::size_t i = 0; i + 1 < cluster.size(); ++i) stage.start(i);
  cluster.run_for(20s);
  // A peer that has counted to thirty million, in steps that each were honest. It joins, and everything still works.
  const std::size_t last = cluster.size() - 1;
  LifeOptions alone;
  alone.name = Cluster::name(last);
  alone.address = static_cast<std::uint32_t>(last);
  cluster.start(last, alone);
  for (int step = 1; step <= 30; ++step) {
    cluster.command(last, [&](serf::Node& core, Instant now, serf::Outbox& out) {
      std::uint8_t memory[64];
      ByteWriter writer(memory);
      writer.u8(static_cast<std::uint8_t>(wire::MessageType::kUser));
      wire::encode(writer, wire::JoinIntent{core.clock() + serf::LamportClock::kJumpMax, "node-0"});
      core.on_packet(now, Cluster::address(0), writer.written(), out);
    });
  }
  const auto ahead = cluster.node(last).clock();
  stage.expect(ahead > 30'000'000, "the peer is not ahead");
  cluster.command(last,
                  [&](serf::Node& core, Instant now, serf::Outbox& out) { core.join(now, Cluster::address(0), out); });
  // A time so far ahead is believed from a push/pull only, so it travels by those alone.
  stage.expect_within(3min, "its time has not reached all", [&] {
    for (std::size_t i = 0; i < cluster.size(); ++i) {
      if (cluster.node(i).clock() < ahead) return false;
    }
    return true;
  });
  cluster.run_for(40s);
  cluster.leave(2);
  stage.expect_within(10s, "a leave took long", [&] { return cluster.life(2).left; });
  if (cluster.failed()) return;
  cluster.crash(2);
  stage.start_as(2, "late", 1002);
  stage.expect_agreement();
  expect_nobody_failed(stage);
}

void crash_in_profile(Stage& stage) {
  Cluster& cluster = stage.cluster;
  stage.settle_all();
  cluster.crash(6);
  const swim::Timing& t = cluster.options().timing;
  // All confirm, so the shortest suspicion holds; before it a probe, one interval later at the latest by somebody
  // with luck; the bound allows six.
  const Duration most = swim::suspicion_min(t, cluster.size()) + 6 * t.probe_interval + 10 * t.gossip_interval;
  stage.expect_within(most, "a crash was noticed late", [&] { return cluster.all_see(6, Status::kFailed); });
  stage.expect_agreement();
  stage.checkers.expect_quiet(cluster, 1min);
}

void set_wan(ClusterOptions& options) {
  options.timing = swim::wan_timing();
  options.network.latency_min = 20ms;
  options.network.latency_max = 150ms;
}
void set_local(ClusterOptions& options) { options.timing = swim::local_timing(); }
void set_small_table(ClusterOptions& options) { options.members_max = 16; }
void set_clocks(ClusterOptions& options) { options.uneven_clocks = true; }
void set_timers_first(ClusterOptions& options) { options.timers_before_data = true; }

// clang-format off
constexpr Scenario kScenarios[] = {
    {"cold-start-storm", "48 nodes join two seeds at once, and all meet", 48, cold_start_storm, nullptr},
    {"slow-start", "seeds that come up after everybody else are found", 12, slow_start, nullptr},
    {"rolling-replacement", "each task leaves for a successor of another name; nobody is ever failed", 14, rolling_replacement, nullptr},
    {"kill-several", "five of 24 killed at once are failed everywhere, nobody else", 24, kill_several, nullptr},
    {"kill-most", "of twenty, fifteen are killed, the seeds too; the rest agree", 20, kill_most, nullptr},
    {"leave-storm", "two thirds leave within a second or so: all left, none failed", 30, leave_storm, nullptr},
    {"last-one-leaves", "one by one all leave, the last alone", 5, last_one_leaves, nullptr},
    {"restart-same-name", "killed and back under its name, at once and after it was failed", 10, restart_same_name, nullptr},
    {"restart-again-and-again", "ten quick restarts of one name end in agreement, without a storm", 10, restart_again_and_again, nullptr},
    {"restart-elsewhere", "killed and back under its name from another address", 8, restart_elsewhere, nullptr},
    {"left-name-moves", "a name that left is taken from another address at once", 8, left_name_moves, nullptr},
    {"address-reuse", "a new name at a dead one's address does not keep it alive", 10, address_reuse, nullptr},
    {"partition-and-heal", "two halves fail each other and find together", 12, partition_and_heal, nullptr},
    {"long-partition", "two parts that have forgotten each other find together by their seeds", 10, long_partition, nullptr},
    {"mute-node", "a node that nobody hears is failed, and back when the link is", 10, mute_node, nullptr},
    {"deaf-node", "a node that hears nothing makes nobody believe that others died", 10, deaf_node, nullptr},
    {"pairs-cut", "pairs that cannot talk are kept alive by what others say", 12, pairs_cut, nullptr},
    {"udp-blocked", "a node whose datagrams are lost is kept by TCP", 8, udp_blocked, nullptr},
    {"heavy-loss", "a tenth of all datagrams and segments lost: nobody is failed in ten minutes", 16, heavy_loss, nullptr},
    {"bad-network", "late, doubled, reordered datagrams; streams that dribble and break", 12, bad_network, nullptr},
    {"lossy-links", "every node loses half of what it sends to three others; nobody is failed", 16, lossy_links, nullptr},
    {"long-pause", "a node that stands still longer than a suspicion is failed, then alive again", 10, long_pause, nullptr},
    {"long-pause-timers-first", "the same, where the woken process looks at its timers before its mail", 10, long_pause, set_timers_first},
    {"short-pauses", "pauses of two seconds fail nobody", 12, short_pauses, nullptr},
    {"slow-node", "a node that handles everything late takes no healthy one with it", 12, slow_node, nullptr},
    {"machine-sleeps", "all stand still for an hour and wake together", 8, machine_sleeps, set_timers_first},
    {"uneven-clocks", "clocks that start anywhere and run 1 % fast or slow do not matter", 16, crash_in_profile, set_clocks},
    {"full-table", "24 nodes with tables for 16: bounded, and right again when there is room", 24, full_table, set_small_table},
    {"far-ahead-clock", "a peer whose Lamport time is thirty million ahead joins; leaving still works", 8, far_ahead_clock, nullptr},
    {"crash-lan", "a crash in the LAN profile is known in its time", 16, crash_in_profile, nullptr},
    {"crash-wan", "the same in the WAN profile, with its latencies", 16, crash_in_profile, set_wan},
    {"crash-local", "the same in the local profile", 16, crash_in_profile, set_local},
};
// clang-format on

}  // namespace

// ---- Stage

void Stage::start(std::size_t node) {
  if (cluster.started(node)) return;
  start_as(node, Cluster::name(node), static_cast<std::uint32_t>(node));
}

void Stage::start_as(std::size_t node, std::string_view name, std::uint32_t address) {
  if (cluster.failed()) return;
  LifeOptions life;
  life.name = std::string(name);
  life.address = address;
  for (const std::uint32_t seed : {0U, 1U}) {
    if (seed != address) life.seeds.push_back(seed);
  }
  life.tags = {{"role", node < 2 ? "sidecar" : "task"}, {"state", "ready"}};
  cluster.start(node, life);
}

void Stage::start_all() {
  for (std::size_t i = 0; i < cluster.size(); ++i) start(i);
}

bool Stage::all_alive() const {
  for (std::size_t i = 0; i < cluster.size(); ++i) {
    if (cluster.started(i) && !cluster.all_see(i, Status::kAlive)) return false;
  }
  return true;
}

void Stage::settle_all() {
  start_all();
  expect_within(60s, "not all have met", [&] { return all_alive(); });
  cluster.run_for(35s);
}

void Stage::expect(bool ok, std::string_view what) {
  if (!ok) cluster.fail(std::string(what));
}

// ---- The table

std::span<const Scenario> scenarios() { return kScenarios; }

const Scenario* find_scenario(std::string_view name) {
  for (const Scenario& scenario : kScenarios) {
    if (name == scenario.name) return &scenario;
  }
  return nullptr;
}

Outcome outcome_of(const Cluster& cluster) {
  Outcome out;
  out.failure = cluster.failure();
  out.digest = cluster.digest();
  out.steps = cluster.steps;
  out.packets = cluster.packets;
  out.virtual_time = cluster.now() - Instant{};
  return out;
}

Outcome run_scenario(const Scenario& scenario, std::uint64_t seed, const Spectator& spectator) {
  ClusterOptions options;
  options.seed = seed;
  options.nodes = scenario.nodes;
  if (scenario.set != nullptr) scenario.set(options);
  Stage stage(options);
  if (spectator.watch != nullptr) stage.cluster.observe(*spectator.watch);
  scenario.run(stage);
  if (spectator.look != nullptr) spectator.look(stage.cluster);
  return outcome_of(stage.cluster);
}

}  // namespace shoal::test
