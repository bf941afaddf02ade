#include "sim/sidecar_swarm.h"

#include <algorithm>

namespace shoal::test {
namespace {

using announce::TaskState;
using sidecar::MemberStatus;

constexpr const char* kPools[] = {"web", "api", "fixed", "nowhere"};  // The last two can take no server.

bool is_there(MemberStatus status) { return status == MemberStatus::kAlive || status == MemberStatus::kSuspect; }

/// With `slots` the pool api has a static algorithm and so many slots.
void configure(HaproxyProcess& process, std::uint32_t slots, bool check) {
  process.add_pool("web", true);
  process.add_pool("api", slots == 0);
  if (slots > 0) process.add_slots("api", "shoal-", slots, check);
  process.add_pool("fixed", false);
  process.add_static_server("api", "always", 9, 7);
  process.add_static_server("fixed", "old1", 9, 1);
}

/// The run itself: draws fault after fault from the world's generator.
class SidecarSwarm {
 public:
  SidecarSwarm(World& world, SidecarCheckers& checkers, const SidecarSwarmOptions& options)
      : world_(world), checkers_(checkers), options_(options) {}

  void run() {
    for (std::size_t i = 0; i < world_.hosts(); ++i) {
      if (!rng().one_in(6)) world_.host(i).start();
      world_.host(i).run_requests();
    }
    const bool sidecar_first = rng().one_in(2);
    if (sidecar_first) world_.start_sidecar();
    for (std::size_t i = 0; i < options_.tasks; ++i) begin(any_node());
    world_.start_sidecar();
    world_.run_for(rng().below(Duration(5s)));
    for (std::size_t i = 0; i < options_.faults && !world_.failed(); ++i) {
      world_.run_for(rng().below(options_.gap_max));
      cause(draw());
    }
    if (world_.failed()) return;
    end_of_faults();
    checkers_.expect_convergence(world_);
    checkers_.expect_quiet(world_, 10s);
  }

 private:
  Rng& rng() { return world_.rng(); }
  const Start& start_at(std::size_t which) const { return world_.starts()[which]; }
  /// Of those that are not kept for storms.
  std::size_t any_node() { return rng().below(std::uint64_t{std::min<std::size_t>(world_.nodes().size(), 24)}); }
  /// A node's present start whose task lives; kNoStart = none was found.
  std::size_t any_task() {
    for (std::size_t draws = 8; draws > 0; --draws) {
      const std::size_t start = world_.nodes()[any_node()].start;
      if (start != Node::kNoStart && start_at(start).task_lives) return start;
    }
    return Node::kNoStart;
  }
  HaproxyHost& any_host() { return world_.host(rng().below(std::uint64_t{world_.hosts()})); }

  SidecarFault draw() {
    std::uint64_t sum = 0;
    for (const std::uint32_t weight : options_.weights) sum += weight;
    std::uint64_t at = rng().below(sum);
    for (std::size_t i = 0; i < options_.weights.size(); ++i) {
      if (at < options_.weights[i]) return static_cast<SidecarFault>(i);
      at -= options_.weights[i];
    }
    return SidecarFault::kBegin;
  }

  static IpAddress address_of(std::size_t number) {
    return IpAddress::v4(10, 0, static_cast<std::uint8_t>(number / 200), static_cast<std::uint8_t>(number % 200 + 1));
  }
  std::uint64_t next_id() {
    const auto ms = static_cast<std::uint64_t>(to_ms(world_.now() - Instant{}));
    // Now and then a clock that went back.
    return 1'795'235'379'000 + ms + ++ids_ - (rng().one_in(12) ? 3'600'000 : 0);
  }

  std::size_t begin_at(std::size_t node, const IpAddress& addr, std::uint16_t port, bool any_pool) {
    const char* drawn =
        kPools[any_pool && rng().one_in(20) ? 2 + rng().below(std::uint64_t{2}) : rng().below(std::uint64_t{2})];
    const auto weight = static_cast<std::uint16_t>(rng().one_in(3) ? 1 + rng().below(std::uint64_t{256}) : 100);
    return world_.begin(node, addr, port, is_in_a_slot(Endpoint{addr, port}) ? "web" : drawn, weight, next_id());
  }
  void begin(std::size_t node) {
    const std::size_t last = world_.nodes()[node].start;
    if (last != Node::kNoStart && start_at(last).task_lives) return;
    begin_at(node, address_of(node), static_cast<std::uint16_t>(8000 + rng().below(std::uint64_t{3})), true);
  }

  /// Gossip notices after a while that a node is gone, unless it is back by then.
  void fails_later(std::size_t node, std::size_t start, Duration latest) {
    world_.timeline().after(rng().below(latest), [this, node, start] {
      if (world_.nodes()[node].start == start && !start_at(start).task_lives) {
        world_.set_status(node, MemberStatus::kFailed);
      }
    });
  }

  void cause(SidecarFault fault) {
    const std::size_t task = any_task();
    switch (fault) {
      case SidecarFault::kBegin: return begin(any_node());
      case SidecarFault::kUnready:
      case SidecarFault::kReady:
      case SidecarFault::kDepart:
      case SidecarFault::kWeight:
      case SidecarFault::kWorkerDies:
      case SidecarFault::kTaskDies:
      case SidecarFault::kHostDies:
      case SidecarFault::kNewStart:
      case SidecarFault::kMoves:
      case SidecarFault::kPlaceTaken:
      case SidecarFault::kPlaceShared:
      case SidecarFault::kOldWord:
      case SidecarFault::kWish:
        if (task != Node::kNoStart) cause_to_task(fault, task);
        return;
      case SidecarFault::kStorm: return storm();
      case SidecarFault::kFailsWrongly:
      case SidecarFault::kSuspect:
      case SidecarFault::kForgotten: return cause_in_gossip(fault);
      case SidecarFault::kKill:
      case SidecarFault::kReload:
      case SidecarFault::kWedge:
      case SidecarFault::kSlotsTaken:
      case SidecarFault::kBreak:
      case SidecarFault::kDenied: return cause_to_haproxy(fault);
      case SidecarFault::kSidecarDies: {
        world_.kill_sidecar();
        const Duration down = rng().below(options_.down_max);
        world_.timeline().after(down, [this] { world_.start_sidecar(); });
        return;
      }
      case SidecarFault::kSidecarPauses: return world_.pause_sidecar(rng().below(world_.options().pause_max));
      case SidecarFault::kForeign: return foreign_hand();
      case SidecarFault::kOperator:
      case SidecarFault::kOperatorUndoes: return operators_hand(fault == SidecarFault::kOperator);
      case SidecarFault::kIdTaken:
        if (task != Node::kNoStart) take_id(task);
        return;
      case SidecarFault::kCount: SHOAL_UNREACHABLE();
    }
  }

  void cause_to_task(SidecarFault fault, std::size_t task) {
    const Start start = start_at(task);
    const std::size_t node = start.node;
    if (fault == SidecarFault::kUnready) return world_.say(task, TaskState::kUnready);
    if (fault == SidecarFault::kReady && start.worker_lives) return world_.say(task, TaskState::kReady);
    if (fault == SidecarFault::kDepart) return world_.depart(task);
    if (fault == SidecarFault::kWeight) {
      return world_.set_weight(task, static_cast<std::uint16_t>(1 + rng().below(std::uint64_t{256})));
    }
    if (fault == SidecarFault::kWorkerDies) {  // The task says so a moment later, or departs.
      world_.kill_worker(task);
      const TaskState says = rng().one_in(2) ? TaskState::kDeparting : TaskState::kUnready;
      world_.timeline().after(rng().below(Duration(50ms)), [this, task, says] { world_.say(task, says); });
    }
    if (fault == SidecarFault::kTaskDies || fault == SidecarFault::kHostDies || fault == SidecarFault::kNewStart) {
      world_.kill_task(task, fault == SidecarFault::kHostDies);
      fails_later(node, task, 10s);
    }
    if (fault == SidecarFault::kNewStart) {  // Before gossip has noticed, or after.
      world_.timeline().after(rng().below(Duration(15s)), [this, node] { begin(node); });
    }
    if (fault == SidecarFault::kMoves) {
      return world_.set_address(node, address_of(400 + rng().below(std::uint64_t{400})));
    }
    if (fault == SidecarFault::kPlaceTaken || fault == SidecarFault::kPlaceShared) {
      const std::size_t other = any_node();
      if (other == node) return;
      if (fault == SidecarFault::kPlaceTaken) {
        world_.kill_task(task, false);
        fails_later(node, task, 30s);
      }
      begin_at(other, start.place.addr, start.place.port, false);
    }
    if (fault == SidecarFault::kWish) {
      world_.set_wish(node, static_cast<announce::Wish>(rng().below(std::uint64_t{3})));
    }
    if (fault == SidecarFault::kOldWord && start.seq > 1) {
      world_.repeat_word(task, start.seq - 1, TaskState::kReady);
    }
  }

  /// Two at one place in one pool of slots would be the same server: whose, nobody could tell.
  bool is_in_a_slot(const Endpoint& place) const {
    const auto& starts = world_.starts();
    return options_.has_slots && std::any_of(starts.begin(), starts.end(), [&](const Start& start) {
             return start.task_lives && start.pool == "api" && start.place == place;
           });
  }

  void storm() {
    const std::size_t first = 24;
    if (world_.nodes().size() <= first) return;
    const bool ends = world_.nodes()[first].start != Node::kNoStart && start_at(world_.nodes()[first].start).task_lives;
    for (std::size_t node = first; node < world_.nodes().size(); ++node) {
      world_.timeline().after(rng().below(Duration(1s)), [this, node, ends] {
        if (!ends) return begin(node);
        const std::size_t start = world_.nodes()[node].start;
        if (start != Node::kNoStart) world_.depart(start);
      });
    }
  }

  void cause_in_gossip(SidecarFault fault) {
    const std::size_t node = any_node();
    const Node& of = world_.nodes()[node];
    if (!of.is_member) return;
    if (fault == SidecarFault::kForgotten) {
      if (of.status == MemberStatus::kFailed || of.status == MemberStatus::kLeft) {
        world_.set_status(node, MemberStatus::kReaped);
      }
      return;
    }
    if (of.status != MemberStatus::kAlive || of.start == Node::kNoStart || !start_at(of.start).task_lives) return;
    world_.set_status(node, fault == SidecarFault::kSuspect ? MemberStatus::kSuspect : MemberStatus::kFailed);
    world_.timeline().after(rng().below(Duration(40s)), [this, node, start = of.start] {
      const Node& still = world_.nodes()[node];
      if (still.start == start && start_at(start).task_lives && still.status != MemberStatus::kLeaving) {
        world_.set_status(node, MemberStatus::kAlive);
      }
    });
  }

  void cause_to_haproxy(SidecarFault fault) {
    HaproxyHost& host = any_host();
    if (fault == SidecarFault::kKill) {
      host.kill();
      const Duration down = rng().one_in(3) ? Duration(1ms) : rng().below(options_.down_max);
      world_.timeline().after(down, [&host] { host.start(); });
    }
    if (fault == SidecarFault::kReload) host.reload();
    if (fault == SidecarFault::kWedge) host.wedge(rng().below(options_.wedge_max));
    if (fault == SidecarFault::kSlotsTaken) host.take_slots(rng().below(Duration(10s)));
    if (fault == SidecarFault::kBreak) host.break_connections();
    if (fault == SidecarFault::kDenied) {
      host.deny(true);
      world_.timeline().after(rng().below(Duration(20s)), [&host] { host.deny(false); });
    }
  }

  void foreign_hand() {
    HaproxyHost& host = any_host();
    const std::string name = "web/legacy" + std::to_string(rng().below(std::uint64_t{4}));
    switch (rng().below(std::uint64_t{5})) {
      case 0: host.by_hand(Hand::kForeign, "add server " + name + " 10.9.9.9:80 weight 10"); break;
      case 1: host.by_hand(Hand::kForeign, "enable server " + name); break;
      case 2: host.by_hand(Hand::kForeign, "set server " + name + " state maint"); break;
      case 3: host.by_hand(Hand::kForeign, "del server " + name); break;
      case 4: host.by_hand(Hand::kForeign, "set server api/always weight " + std::to_string(1 + rng().below(9))); break;
    }
  }

  void operators_hand(bool marks) {
    const std::size_t which = any_task();
    if (which == Node::kNoStart) return;
    const Start& start = start_at(which);
    HaproxyHost& host = any_host();
    const ModelServer* server = host.live() == nullptr ? nullptr : host.live()->find(start.pool, start.server);
    if (server == nullptr || (marks && !server->serves())) return;
    const std::string name = start.pool + "/" + server->name;
    if (!marks && (server->admin == 0 || server->weight == 0)) return;
    host.by_hand(Hand::kOperator, "set server " + name + " state " +
                                      (!marks            ? "ready"
                                       : rng().one_in(2) ? "maint"
                                                         : "drain"));
  }

  /// A foreign server gets the id that shoal derives for this one.
  void take_id(std::size_t task) {
    const Start& start = start_at(task);
    const std::uint64_t id = hash64(as_bytes(start.server), 0) % 0x7fffffff + 1;
    any_host().by_hand(Hand::kForeign, "add server " + start.pool + "/squatter" + std::to_string(++ids_) +
                                           " 10.9.9.9:80 weight 1 id " + std::to_string(id));
  }

  void end_of_faults() {
    world_.options().verify_lost_ppm = world_.options().verify_wrong_ppm = 0;
    for (std::size_t i = 0; i < world_.hosts(); ++i) {
      HostOptions& options = world_.host(i).options();
      options.late_ppm = options.cut_ppm = options.break_ppm = 0;
      world_.host(i).start();
      world_.host(i).deny(false);
    }
    world_.start_sidecar();
    if (!rng().one_in(8)) world_.revive_machines();
    for (std::size_t node = 0; node < world_.nodes().size(); ++node) {
      const Node& of = world_.nodes()[node];
      if (of.start == Node::kNoStart) continue;
      const Start& start = start_at(of.start);
      if (start.task_lives && !start.worker_lives) world_.depart(of.start);
      if (!start.task_lives && is_there(of.status)) world_.set_status(node, MemberStatus::kFailed);
      if (start.task_lives && !is_there(of.status)) world_.set_status(node, MemberStatus::kAlive);
    }
    // What was begun before ends within that: starts, restarts, drains, members that leave.
    world_.run_for(30s);
    for (std::size_t node = 0; node < world_.nodes().size(); ++node) {
      const Node& of = world_.nodes()[node];
      if (of.start != Node::kNoStart && !start_at(of.start).task_lives && is_there(of.status)) {
        world_.set_status(node, MemberStatus::kFailed);
      }
    }
  }

  World& world_;
  SidecarCheckers& checkers_;
  const SidecarSwarmOptions& options_;
  std::uint64_t ids_ = 0;
};

}  // namespace

std::string_view to_text(SidecarFault fault) {
  switch (fault) {
    case SidecarFault::kBegin: return "begin";
    case SidecarFault::kUnready: return "unready";
    case SidecarFault::kReady: return "ready";
    case SidecarFault::kDepart: return "depart";
    case SidecarFault::kWeight: return "weight";
    case SidecarFault::kWorkerDies: return "worker-dies";
    case SidecarFault::kTaskDies: return "task-dies";
    case SidecarFault::kHostDies: return "host-dies";
    case SidecarFault::kNewStart: return "new-start";
    case SidecarFault::kMoves: return "moves";
    case SidecarFault::kPlaceTaken: return "place-taken";
    case SidecarFault::kPlaceShared: return "place-shared";
    case SidecarFault::kOldWord: return "old-word";
    case SidecarFault::kWish: return "wish";
    case SidecarFault::kStorm: return "storm";
    case SidecarFault::kFailsWrongly: return "fails-wrongly";
    case SidecarFault::kSuspect: return "suspect";
    case SidecarFault::kForgotten: return "forgotten";
    case SidecarFault::kKill: return "kill";
    case SidecarFault::kReload: return "reload";
    case SidecarFault::kWedge: return "wedge";
    case SidecarFault::kSlotsTaken: return "slots-taken";
    case SidecarFault::kBreak: return "break";
    case SidecarFault::kDenied: return "denied";
    case SidecarFault::kSidecarDies: return "sidecar-dies";
    case SidecarFault::kSidecarPauses: return "sidecar-pauses";
    case SidecarFault::kForeign: return "foreign";
    case SidecarFault::kOperator: return "operator";
    case SidecarFault::kOperatorUndoes: return "operator-undoes";
    case SidecarFault::kIdTaken: return "id-taken";
    case SidecarFault::kCount: break;
  }
  SHOAL_UNREACHABLE();
}

SidecarSwarmOptions sidecar_swarm_options(std::uint64_t seed) {
  Rng rng(mix64(seed ^ 0x51decaf));
  SidecarSwarmOptions out;
  WorldOptions& w = out.world;
  w.seed = seed;
  const bool has_storms = rng.one_in(12);
  w.nodes_max = has_storms ? 24 + 50 + rng.below(std::uint64_t{200}) : 24;
  sidecar::Options& core = w.core;
  core.registry.members_max = core.registry.tombstones_max = has_storms ? 512 : 64;
  core.registry.default_pool = announce::PoolName("web");
  core.policy.grace = rng.one_in(2) ? Duration(10s) : Duration(30s);
  constexpr std::uint32_t kFloors[] = {50, 50, 50, 0, 100};
  core.policy.removal_floor = kFloors[rng.below(std::uint64_t{5})];
  core.reconcile_interval = rng.one_in(2) ? Duration(5s) : Duration(1s);
  core.adoption_hold = rng.one_in(2) ? Duration(60s) : Duration(20s);
  core.session.watch_interval = rng.one_in(3) ? Duration(50ms) : Duration(250ms);
  w.promised_hold = core.adoption_hold;
  w.promised_watch = core.session.watch_interval;
  core.session.reply_bytes_max = 1u << 18;
  core.server_options = *haproxy::ServerOptions::parse(
      rng.one_in(2) ? "check inter 2s downinter 200ms pool-max-conn -1 pool-purge-delay 5s observe layer4" : "");
  core.check_first = core.server_options.has_check() && rng.one_in(3);
  const std::uint64_t hosts = rng.one_in(4) ? 2 : 1;
  for (std::uint64_t i = 0; i < hosts; ++i) {
    core.sockets.push_back(FixedString<128>("/run/haproxy-" + std::to_string(i) + ".sock"));
    HostOptions host;
    const std::uint64_t version = rng.below(std::uint64_t{6});
    host.version = version < 4 ? HaproxyVersion::k26 : version == 4 ? HaproxyVersion::k30 : HaproxyVersion::k34;
    host.latency_max = rng.one_in(3) ? rng.below(Duration(20ms)) + 10us : Duration(200us);
    if (rng.one_in(3)) {
      host.late_ppm = static_cast<std::uint32_t>(rng.below(std::uint64_t{50'000}));
      host.late_max = rng.below(Duration(3s));
    }
    if (rng.one_in(2)) host.cut_ppm = static_cast<std::uint32_t>(rng.below(std::uint64_t{600'000}));
    if (rng.one_in(3)) host.break_ppm = static_cast<std::uint32_t>(rng.below(std::uint64_t{8'000}));
    host.hard_stop_after = rng.one_in(2) ? Duration(60s) : Duration(5s);
    host.request_gap = 20ms + rng.below(Duration(400ms));
    host.request_longest = rng.one_in(3) ? Duration(30s) : Duration(8s);
    w.hosts.push_back(host);
  }
  w.word_delay_max = rng.one_in(3) ? Duration(2s) : Duration(20ms);
  w.word_first_max = 1s + rng.below(Duration(12s));
  w.pause_max = rng.one_in(2) ? Duration(5s) : Duration(500ms);
  if (rng.one_in(3)) w.verify_lost_ppm = static_cast<std::uint32_t>(rng.below(std::uint64_t{200'000}));
  if (rng.one_in(3)) w.verify_wrong_ppm = static_cast<std::uint32_t>(rng.below(std::uint64_t{200'000}));
  w.verify_is_sure = w.verify_lost_ppm == 0 && w.verify_wrong_ppm == 0;
  for (std::uint32_t& weight : out.weights) {
    const bool enabled = rng.one_in(2);
    const auto drawn = static_cast<std::uint32_t>(1 + rng.below(std::uint64_t{10}));
    weight = enabled ? drawn : 0;
  }
  const auto weight_of = [&out](SidecarFault fault) -> std::uint32_t& {
    return out.weights[static_cast<std::size_t>(fault)];
  };
  weight_of(SidecarFault::kBegin) += 6;  // Otherwise nobody is left soon.
  weight_of(SidecarFault::kStorm) = has_storms ? 2 : 0;
  out.tasks = rng.below(std::uint64_t{16});
  out.faults = 5 + rng.below(std::uint64_t{60});
  out.gap_max = rng.one_in(2) ? rng.below(Duration(1s)) : rng.below(Duration(8s));
  out.down_max = rng.one_in(2) ? Duration(500ms) : Duration(15s);
  out.wedge_max = rng.one_in(2) ? Duration(1s) : Duration(8s);
  const std::uint32_t slots = !rng.one_in(3) ? 0 : has_storms ? 280 : 48;
  const bool slots_check = rng.one_in(2);
  out.has_slots = slots > 0;
  for (HostOptions& host : w.hosts) {
    host.configure = [slots, slots_check](HaproxyProcess& process) { configure(process, slots, slots_check); };
  }
  return out;
}

std::string to_text(const SidecarSwarmOptions& options) {
  const WorldOptions& w = options.world;
  std::string out = std::to_string(w.hosts.size()) + " HAProxies, " + (options.has_slots ? "slots, " : "") +
                    std::to_string(options.tasks) + " tasks of " + std::to_string(w.nodes_max) + ", " +
                    std::to_string(options.faults) + " faults up to " + std::to_string(to_ms(options.gap_max)) +
                    " ms apart:";
  for (std::size_t i = 0; i < options.weights.size(); ++i) {
    if (options.weights[i] > 0) out += " " + std::string(to_text(static_cast<SidecarFault>(i)));
  }
  return out;
}

SidecarOutcome run_sidecar_swarm(std::uint64_t seed, const SidecarPlant* plant, WorldObserver* watch) {
  SidecarSwarmOptions options = sidecar_swarm_options(seed);
  if (plant != nullptr && plant->change_options != nullptr) plant->change_options(options.world);
  World world(options.world);
  SidecarCheckers checkers(world);
  if (watch != nullptr) world.observe(*watch);
  if (plant != nullptr && plant->put != nullptr) plant->put(world);
  SidecarSwarm swarm(world, checkers, options);
  swarm.run();
  if (world.core_allocations > 0) {
    world.fail(std::to_string(world.core_allocations) + " calls of operator new in the core");
  }
  SidecarOutcome out;
  out.failure = world.failure();
  out.digest = world.digest();
  out.virtual_time = world.now() - Instant{};
  out.lines = world.lines();
  for (std::size_t i = 0; i < world.hosts(); ++i) out.requests += world.host(i).requests;
  out.accepted = checkers.truth().accepted;
  out.drained = checkers.truth().drained;
  return out;
}

}  // namespace shoal::test
