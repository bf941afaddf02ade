#include "sim/results.h"

#include <algorithm>
#include <cmath>

namespace shoal::test {
namespace {

using serf::MemberEventKind;
using serf::Status;

double seconds(Duration d) { return static_cast<double>(d.count()) / 1e9; }

ClusterOptions plain(std::uint64_t seed, std::size_t nodes, const swim::Timing& timing) {
  ClusterOptions options;
  options.seed = seed;
  options.nodes = nodes;
  options.timing = timing;
  options.members_max = nodes + 8;
  options.timers_before_data = true;  // As where only a process's reading and writing stand still.
  return options;
}

/// Everybody's record of `of`.
bool anybody(Cluster& cluster, std::size_t of, swim::State state) {
  const std::string name = Cluster::name(of);
  for (std::size_t viewer = 0; viewer < cluster.size(); ++viewer) {
    if (viewer == of || !cluster.running(viewer)) continue;
    const swim::Members& members = cluster.node(viewer).swim().members();
    const Slot slot = members.find(name);
    if (slot != kNoSlot && members[slot].state == state) return true;
  }
  return false;
}

}  // namespace

double Sample::mean() const {
  double sum = 0;
  for (const double v : values) sum += v;
  return values.empty() ? 0 : sum / static_cast<double>(values.size());
}

double Sample::quantile(double q) const {
  if (values.empty()) return 0;
  std::vector<double> sorted = values;
  std::sort(sorted.begin(), sorted.end());
  const auto at = static_cast<std::size_t>(std::ceil(q * static_cast<double>(sorted.size())));
  return sorted[std::min(sorted.size() - 1, at == 0 ? 0 : at - 1)];
}

Rested::Rested(std::uint64_t seed, std::size_t nodes, const swim::Timing& timing,
               std::function<void(std::size_t, serf::NodeOptions&)> adjust)
    : cluster([&] {
        ClusterOptions options = plain(seed, nodes, timing);
        options.adjust = std::move(adjust);
        return options;
      }()) {
  cluster.keep_news = false;
  // In waves, since what is measured is not the start.
  for (std::size_t i = 0; i < nodes; ++i) {
    cluster.start(i, 0);
    if (i % 16 == 15) cluster.run_for(100ms);
  }
  good = cluster.run_until_every(1s, 5min, [&] {
    for (std::size_t viewer = 0; viewer < nodes; ++viewer) {
      if (cluster.node(viewer).swim().others_alive() + 1 != nodes) return false;
    }
    return true;
  });
  cluster.run_for(5s);
  cluster.keep_news = true;
}

namespace {

/// In a large cluster, which takes long to start, several trials follow each other: ten of 128 are few.
int trials_in_one(std::size_t nodes) { return nodes < 100 ? 1 : 10; }

void detect(Cluster& cluster, Rng& rng, Detection& out) {
  cluster.run_for(rng.below(Duration(2s)));
  std::size_t victim = 0;
  while (victim == 0 || !cluster.started(victim)) victim = rng.below(std::uint64_t{cluster.size()});
  cluster.crash(victim);
  const Instant crash = cluster.now();
  if (!cluster.run_until_every(5ms, 60s, [&] { return anybody(cluster, victim, swim::State::kSuspect); })) return;
  const double suspected = seconds(cluster.now() - crash);
  out.first_suspicion.add(suspected);
  // A healthy node's probe takes its whole interval to fail.
  out.first_probe.add(suspected - seconds(cluster.options().timing.probe_interval));
  if (!cluster.run_until_every(20ms, 90s, [&] { return anybody(cluster, victim, swim::State::kDead); })) return;
  out.first_failed.add(seconds(cluster.now() - crash));
  if (!cluster.run_until_every(50ms, 90s, [&] { return cluster.all_see(victim, Status::kFailed); })) return;
  out.all_failed.add(seconds(cluster.now() - crash));
}

void disseminate(Cluster& cluster, std::size_t teller, Dissemination& out, std::uint64_t& missed) {
  const std::size_t others = cluster.size() - 1;
  cluster.events.clear();
  const Instant told = cluster.now();
  cluster.set_tags(teller, {{"state", "changed"}});
  std::vector<bool> heard(cluster.size());
  std::size_t count = 0, looked_at = 0;
  double half = 0, most = 0, all = 0;
  cluster.run_until_every(10ms, 10s, [&] {
    for (; looked_at < cluster.events.size(); ++looked_at) {
      const auto& event = cluster.events[looked_at];
      if (event.kind != MemberEventKind::kUpdate || event.node == teller || heard[event.node]) continue;
      heard[event.node] = true;
      ++count;
      const double at = seconds(event.at - told);
      if (count == (others + 1) / 2) half = at;
      if (count == (99 * others + 99) / 100) most = at;
      if (count == others) all = at;
    }
    return count == others;
  });
  if (half > 0) out.half.add(half);
  if (most > 0) out.most.add(most);
  if (all > 0) out.all.add(all);
  if (all == 0) ++out.incomplete;
  missed += others - count;
}

}  // namespace

Detection detection(std::size_t nodes, int trials, std::uint64_t seed) {
  Detection out;
  while (trials > 0) {
    Rested rested(seed, nodes, swim::lan_timing());
    Rng rng(seed++);
    for (int i = trials_in_one(nodes); i > 0 && trials > 0; --i, --trials) detect(rested.cluster, rng, out);
  }
  return out;
}

Dissemination dissemination(std::size_t nodes, int trials, std::uint64_t seed) {
  Dissemination out;
  std::uint64_t missed = 0;
  const int all = trials;
  while (trials > 0) {
    Rested rested(seed++, nodes, swim::lan_timing());
    for (int i = trials_in_one(nodes); i > 0 && trials > 0; --i, --trials) {
      disseminate(rested.cluster, static_cast<std::size_t>(i), out, missed);
    }
  }
  out.missed_ppm = 1e6 * static_cast<double>(missed) / all / static_cast<double>(nodes - 1);
  return out;
}

Load load(std::size_t nodes, std::uint64_t seed) {
  Rested rested(seed, nodes, swim::lan_timing());
  Cluster& cluster = rested.cluster;
  cluster.run_for(60s);
  const std::uint64_t packets = cluster.packets, bytes = cluster.packet_bytes;
  cluster.run_for(60s);
  const double member_seconds = 60.0 * static_cast<double>(nodes);
  return {static_cast<double>(cluster.packets - packets) / member_seconds,
          static_cast<double>(cluster.packet_bytes - bytes) / member_seconds};
}

FalsePositives false_positives(const Lifeguard& parts, const Anomalies& anomalies, std::uint64_t seed) {
  swim::Timing timing = swim::lan_timing();
  timing.suspicion_mult = 5;  // The paper's alpha, beta and K = alpha - 2.
  timing.suspicion_max_mult = parts.suspicion ? 6 : 1;
  timing.awareness_max = parts.probe ? 8 : 1;
  Rested rested(seed, anomalies.nodes, timing,
                [&parts](std::size_t, serf::NodeOptions& options) { options.swim.buddy = parts.buddy; });
  Cluster& cluster = rested.cluster;
  Rng rng(mix64(seed));
  // Who stands still: drawn anew for each seed, the same for each configuration.
  std::vector<std::size_t> order(anomalies.nodes);
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  rng.shuffle(std::span(order));
  std::vector<bool> is_anomalous(anomalies.nodes);
  for (std::size_t i = 0; i < anomalies.anomalous; ++i) is_anomalous[order[i]] = true;
  cluster.events.clear();
  FalsePositives out;
  const std::uint64_t packets = cluster.packets, bytes = cluster.packet_bytes;
  const Instant end = cluster.now() + anomalies.span;
  while (cluster.now() < end) {
    for (std::size_t i = 0; i < anomalies.anomalous; ++i) cluster.freeze(order[i]);
    cluster.run_for(anomalies.pause);
    for (std::size_t i = 0; i < anomalies.anomalous; ++i) cluster.thaw(order[i]);
    cluster.run_for(anomalies.run);
  }
  cluster.run_for(60s);
  for (const auto& event : cluster.events) {
    if (event.kind != MemberEventKind::kFailed) continue;
    const Life* life = cluster.life_of(event.about);
    if (life == nullptr || is_anomalous[life->node]) continue;
    ++out.all;
    if (!is_anomalous[event.node]) ++out.healthy;
  }
  out.datagrams = cluster.packets - packets;
  out.bytes = cluster.packet_bytes - bytes;
  return out;
}

Leaves leaves(std::size_t nodes, int trials, std::uint64_t seed) {
  Leaves out;
  for (int trial = 0; trial < trials; ++trial) {
    Rested rested(seed + static_cast<std::uint64_t>(trial), nodes, swim::lan_timing());
    Cluster& cluster = rested.cluster;
    cluster.events.clear();
    const Instant asked = cluster.now();
    cluster.leave(nodes - 1);
    cluster.run_until_every(10ms, 20s, [&] { return cluster.life(nodes - 1).left; });
    out.seconds.add(seconds(cluster.now() - asked));
    cluster.crash(nodes - 1);
    cluster.run_for(10s);
    out.verdicts += nodes - 1;
    for (const auto& event : cluster.events) out.failed_first += event.kind == MemberEventKind::kFailed ? 1U : 0U;
  }
  return out;
}

}  // namespace shoal::test
