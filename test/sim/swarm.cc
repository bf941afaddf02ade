#include "sim/swarm.h"

#include <algorithm>

namespace shoal::test {
namespace {

constexpr std::size_t kSeedNodes = 2;  // Nodes 0 and 1 keep name and address.

std::size_t index(Fault fault) { return static_cast<std::size_t>(fault); }

/// The run itself: draws fault after fault from the stage's generator.
class Swarm {
 public:
  Swarm(Stage& stage, const SwarmOptions& options) : stage_(stage), cluster_(stage.cluster), options_(options) {}

  void run() {
    // The start: all at once, or one after another.
    const Duration stagger = stage_.rng.one_in(2) ? Duration{} : stage_.rng.below(Duration(2s));
    for (std::size_t node = 0; node < cluster_.size(); ++node) {
      stage_.start(node);
      cluster_.run_for(stage_.rng.below(stagger));
    }
    for (std::size_t i = 0; i < options_.faults && !over(); ++i) {
      cluster_.run_for(stage_.rng.below(options_.gap_max));
      end_of_leaves();
      cause(draw());
    }
    if (over()) return;
    end_of_faults();
    stage_.expect_agreement();
    if (!over()) stage_.checkers.expect_quiet(cluster_, 1min);
  }

 private:
  bool over() const { return cluster_.failed(); }
  Rng& rng() { return stage_.rng; }
  std::size_t any_node() { return rng().below(std::uint64_t{cluster_.size()}); }
  /// Somebody running; size() = nobody is.
  std::size_t any_running() {
    for (std::size_t draws = 8; draws > 0; --draws) {
      const std::size_t node = any_node();
      if (cluster_.running(node)) return node;
    }
    return cluster_.size();
  }

  Fault draw() {
    std::uint64_t sum = 0;
    for (const std::uint32_t weight : options_.weights) sum += weight;
    std::uint64_t at = rng().below(sum);
    for (std::size_t i = 0; i < options_.weights.size(); ++i) {
      if (at < options_.weights[i]) return static_cast<Fault>(i);
      at -= options_.weights[i];
    }
    return Fault::kHeal;
  }

  /// A process that has left ends a little later, as the program does.
  void end_of_leaves() {
    for (std::size_t node = 0; node < cluster_.size(); ++node) {
      if (cluster_.running(node) && cluster_.life(node).left) cluster_.crash(node);
    }
  }

  void cause(Fault fault) {
    const std::size_t node = any_node();
    const bool here = cluster_.running(node) && !cluster_.node(node).leaving();
    switch (fault) {
      case Fault::kCrash:
        if (cluster_.started(node)) cluster_.crash(node);
        return;
      case Fault::kRestart:
        if (cluster_.started(node)) {
          const std::string name = cluster_.life(node).name;
          const std::uint32_t address = cluster_.life(node).address;
          cluster_.crash(node);
          cluster_.run_for(rng().below(Duration(10s)));
          if (!cluster_.started(node)) stage_.start_as(node, name, address);
        } else {
          stage_.start(node);
        }
        return;
      case Fault::kRestartElsewhere:
        if (node < kSeedNodes) return;
        if (cluster_.started(node)) cluster_.crash(node);
        return stage_.start_as(node, Cluster::name(node), 1000 + ++fresh_);
      case Fault::kNewName:
        if (cluster_.started(node)) cluster_.crash(node);
        if (node < kSeedNodes) return stage_.start(node);
        return stage_.start_as(node, "heir-" + std::to_string(++fresh_), static_cast<std::uint32_t>(node));
      case Fault::kLeave:
        if (here) cluster_.leave(node);
        return;
      case Fault::kPause: return pause(node);
      case Fault::kSlow: {
        const bool stop = rng().one_in(3);
        const Duration each = 1ms + rng().below(Duration(600ms));
        if (cluster_.running(node)) cluster_.slow(node, stop ? Duration{} : each);
        return;
      }
      case Fault::kCutPair: return cluster_.cut(node, any_node());
      case Fault::kIsolate:
      case Fault::kHalves:
      case Fault::kOneWay: return cut_sets(fault, node);
      case Fault::kUdpBlocked: return cluster_.cut_datagrams_only(node);
      case Fault::kLossAtNode:
        return cluster_.lose_at(node, static_cast<std::uint32_t>(rng().below(std::uint64_t{600'000})));
      case Fault::kLossEverywhere:
        stage_.checkers.note_loss(cluster_);
        cluster_.network().loss_ppm = static_cast<std::uint32_t>(rng().below(std::uint64_t{500'000}));
        return;
      case Fault::kHeal: return heal();
      case Fault::kSkipClock:
        if (cluster_.running(node)) cluster_.skip_clock(node, rng().below(Duration(20s)));
        return;
      case Fault::kTags:
        if (here) cluster_.set_tags(node, {{"role", "task"}, {"version", std::to_string(++fresh_)}});
        return;
      case Fault::kUserEvent:
        if (here) {
          const std::string name = "event-" + std::to_string(++fresh_);
          cluster_.command(node, [&](serf::Node& core, Instant now, serf::Outbox& out) {
            static_cast<void>(core.user_event(now, name, as_bytes("news"), false, out));
          });
        }
        return;
      case Fault::kQuery:
      case Fault::kDirectQuery: return query(fault);
      case Fault::kCount: SHOAL_UNREACHABLE();
    }
  }

  void pause(std::size_t node) {
    if (cluster_.frozen(node)) return cluster_.thaw(node);
    if (!cluster_.running(node)) return;
    cluster_.freeze(node);
    if (rng().one_in(4)) return;  // It stays so until drawn again, or to the end.
    cluster_.run_for(rng().below(options_.pause_max));
    if (cluster_.frozen(node)) cluster_.thaw(node);
  }

  void cut_sets(Fault fault, std::size_t node) {
    std::vector<std::size_t> some, others;
    for (std::size_t i = 0; i < cluster_.size(); ++i) {
      const bool chosen = fault == Fault::kIsolate ? i == node : rng().one_in(2);
      (chosen ? some : others).push_back(i);
    }
    cluster_.cut_sets(some, others, fault != Fault::kOneWay);
  }

  void query(Fault fault) {
    const std::size_t asker = any_running();
    const std::size_t asked = any_node();
    if (asker == cluster_.size()) return;
    const bool ack = rng().one_in(2);
    const bool datagram = rng().one_in(2);
    cluster_.command(asker, [&](serf::Node& core, Instant now, serf::Outbox& out) {
      serf::QueryParams params{.name = "solicit", .payload = as_bytes("who")};
      static constexpr wire::TagFilter kTasks[] = {{"role", "task"}};
      params.tags = kTasks;
      params.ack = ack;
      if (fault == Fault::kQuery) {
        static_cast<void>(core.query(now, params, out));
      } else {
        static_cast<void>(core.query_direct(now, cluster_.endpoint(asked),
                                            datagram ? serf::Route::kDatagram : serf::Route::kStream, params, out));
      }
    });
    // Whoever has been asked answers, once, with the node's name.
    for (const Cluster::SeenQuery& seen : cluster_.queries) {
      if (!cluster_.running(seen.node)) continue;
      cluster_.command(seen.node, [&](serf::Node& core, Instant now, serf::Outbox& out) {
        static_cast<void>(core.respond(now, seen.ref, as_bytes(core.name()), out));
      });
    }
    cluster_.queries.clear();
  }

  void heal() {
    stage_.checkers.note_loss(cluster_);
    cluster_.heal();
    cluster_.network().loss_ppm = options_.cluster.network.loss_ppm;
  }

  void end_of_faults() {
    heal();
    cluster_.network() = NetworkOptions{};
    cluster_.stream_break_ppm = 0;
    for (std::size_t node = 0; node < cluster_.size(); ++node) {
      if (cluster_.frozen(node)) cluster_.thaw(node);
      if (cluster_.slowed(node)) cluster_.slow(node, Duration{});
    }
    // Who is leaving gets the time to.
    cluster_.run_for(3 * cluster_.options().timing.broadcast_timeout);
    end_of_leaves();
    // Parts of a cluster that have forgotten each other find together by the seeds, so they have to be there.
    for (std::size_t node = 0; node < kSeedNodes && node < cluster_.size(); ++node) stage_.start(node);
  }

  Stage& stage_;
  Cluster& cluster_;
  const SwarmOptions& options_;
  std::uint32_t fresh_ = 0;  // For names, addresses and tags that were never used.
};

}  // namespace

std::string_view to_text(Fault fault) {
  switch (fault) {
    case Fault::kCrash: return "crash";
    case Fault::kRestart: return "restart";
    case Fault::kRestartElsewhere: return "restart-elsewhere";
    case Fault::kNewName: return "new-name";
    case Fault::kLeave: return "leave";
    case Fault::kPause: return "pause";
    case Fault::kSlow: return "slow";
    case Fault::kCutPair: return "cut-pair";
    case Fault::kIsolate: return "isolate";
    case Fault::kHalves: return "halves";
    case Fault::kOneWay: return "one-way";
    case Fault::kUdpBlocked: return "udp-blocked";
    case Fault::kLossAtNode: return "loss-at-node";
    case Fault::kLossEverywhere: return "loss";
    case Fault::kHeal: return "heal";
    case Fault::kSkipClock: return "skip-clock";
    case Fault::kTags: return "tags";
    case Fault::kUserEvent: return "user-event";
    case Fault::kQuery: return "query";
    case Fault::kDirectQuery: return "direct-query";
    case Fault::kCount: break;
  }
  SHOAL_UNREACHABLE();
}

SwarmOptions swarm_options(std::uint64_t seed) {
  Rng rng(mix64(seed ^ 0x5ca1ab1e));
  SwarmOptions out;
  ClusterOptions& c = out.cluster;
  c.seed = seed;
  const std::uint64_t size = rng.below(std::uint64_t{8});
  c.nodes = 2 + (size == 0 ? rng.below(std::uint64_t{40}) : rng.below(size < 4 ? std::uint64_t{6} : std::uint64_t{16}));
  const std::uint64_t profile = rng.below(std::uint64_t{10});
  out.profile = profile < 5 ? "lan" : profile < 8 ? "local" : "wan";
  c.timing = profile < 5 ? swim::lan_timing() : profile < 8 ? swim::local_timing() : swim::wan_timing();
  c.uneven_clocks = rng.one_in(2);
  c.timers_before_data = rng.one_in(2);
  NetworkOptions& n = c.network;
  n.latency_max = n.latency_min + rng.below(rng.one_in(3) ? Duration(100ms) : Duration(3ms));
  if (rng.one_in(3)) n.loss_ppm = static_cast<std::uint32_t>(rng.below(std::uint64_t{100'000}));
  if (rng.one_in(3)) n.duplicate_ppm = static_cast<std::uint32_t>(rng.below(std::uint64_t{200'000}));
  if (rng.one_in(4)) {
    n.late_ppm = static_cast<std::uint32_t>(rng.below(std::uint64_t{50'000}));
    n.late_max = rng.below(Duration(5s));
  }
  if (rng.one_in(3)) {
    n.segment_bytes = 1 + rng.below(std::uint64_t{1460});
    n.segment_gap = rng.below(Duration(2ms));
  }
  if (rng.one_in(4)) out.stream_break_ppm = static_cast<std::uint32_t>(rng.below(std::uint64_t{20'000}));
  for (std::uint32_t& weight : out.weights) {
    const bool enabled = rng.one_in(2);
    const auto drawn = static_cast<std::uint32_t>(1 + rng.below(std::uint64_t{10}));
    weight = enabled ? drawn : 0;
  }
  out.weights[index(Fault::kHeal)] += 3;  // Otherwise the first cuts stay for good.
  out.faults = 5 + rng.below(std::uint64_t{50});
  out.gap_max = rng.one_in(2) ? rng.below(Duration(2s)) : rng.below(Duration(25s));
  out.pause_max = rng.one_in(2) ? Duration(3s) : Duration(60s);
  return out;
}

std::string to_text(const SwarmOptions& options) {
  const NetworkOptions& n = options.cluster.network;
  std::string out = std::to_string(options.cluster.nodes) + " nodes, " + options.profile + ", " +
                    std::to_string(options.faults) + " faults up to " + std::to_string(to_ms(options.gap_max)) +
                    " ms apart, latency up to " + std::to_string(to_ms(n.latency_max)) + " ms";
  const auto add = [&out](bool on, const std::string& what) {
    if (on) out += ", " + what;
  };
  add(n.loss_ppm > 0, std::to_string(n.loss_ppm / 1000) + " permille lost");
  add(n.duplicate_ppm > 0, "duplicates");
  add(n.late_ppm > 0, "stragglers");
  add(n.segment_gap > Duration{}, "dribble");
  add(options.stream_break_ppm > 0, "broken streams");
  add(options.cluster.uneven_clocks, "uneven clocks");
  add(options.cluster.timers_before_data, "timers first");
  out += ":";
  for (std::size_t i = 0; i < options.weights.size(); ++i) {
    if (options.weights[i] > 0) out += " " + std::string(to_text(static_cast<Fault>(i)));
  }
  return out;
}

Outcome run_swarm(std::uint64_t seed, const Plant* plant, Observer* watch) {
  const SwarmOptions options = swarm_options(seed);
  Stage stage(options.cluster);
  stage.cluster.steps_max = kStepsMax;
  stage.cluster.stream_break_ppm = options.stream_break_ppm;
  if (watch != nullptr) stage.cluster.observe(*watch);
  if (plant != nullptr) plant->set(stage);
  Swarm(stage, options).run();
  return outcome_of(stage.cluster);
}

}  // namespace shoal::test
