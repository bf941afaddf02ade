#include "sim/sidecar_checkers.h"

#include <algorithm>
#include <array>

namespace shoal::test {
namespace {

using announce::TaskState;
using sidecar::MemberStatus;

bool is_there(MemberStatus status) { return status == MemberStatus::kAlive || status == MemberStatus::kSuspect; }

/// A line taken apart, by rules of its own: words with one space between them, each of a plain alphabet.
struct Line {
  std::array<std::string_view, 64> words;
  std::size_t size = 0;
  bool is_clean = true;

  explicit Line(std::string_view text) {
    is_clean = !text.empty() && text.size() < 4096;
    while (!text.empty() && size < words.size()) {
      const std::size_t end = std::min(text.find(' '), text.size());
      const std::string_view word = text.substr(0, end);
      words[size++] = word;
      is_clean = is_clean && !word.empty() && std::all_of(word.begin(), word.end(), [](char c) {
                   return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                          std::string_view("_.:-/[]@%,=").find(c) != std::string_view::npos;
                 });
      is_clean = is_clean && end + 1 != text.size();
      text.remove_prefix(std::min(end + 1, text.size()));
    }
    is_clean = is_clean && text.empty();
  }
  std::string_view operator[](std::size_t i) const { return i < size ? words[i] : std::string_view{}; }
  bool is(std::string_view a, std::string_view b) const { return words[0] == a && (*this)[1] == b; }
  /// It names a server.
  bool changes() const {
    return is("add", "server") || is("del", "server") || is("enable", "server") || is("enable", "health") ||
           is("disable", "server") || is("set", "server");
  }
  std::string_view server() const {
    const std::string_view both = (*this)[2];
    const std::size_t slash = both.find('/');
    return slash == std::string_view::npos ? std::string_view{} : both.substr(slash + 1);
  }
  std::string_view pool() const { return (*this)[2].substr(0, (*this)[2].find('/')); }
  bool takes_out() const {
    if (is("del", "server") || is("disable", "server")) return true;
    if (!is("set", "server")) return false;
    return ((*this)[3] == "weight" && ((*this)[4] == "0" || (*this)[4] == "0%")) ||
           ((*this)[3] == "state" && (*this)[4] != "ready");
  }
  bool is_known() const {
    if (changes()) return !pool().empty() && !server().empty();
    return is("prompt", "") || is("show", "info") || is("show", "backend") || is("show", "stat") || is("show", "cli") ||
           (is("show", "servers") && ((*this)[2] == "state" || (*this)[2] == "conn")) || is("wait", (*this)[1]) ||
           (is("show", "cli") && (*this)[2] == "level") || is("experimental-mode", "on");
  }
};

std::string quoted(std::string_view line) { return "`" + std::string(line) + "`"; }

/// The start's; where it has moved, the slot at its present place rather than the one at its last.
const ModelServer* server_of(HaproxyProcess& process, const Start& start) {
  const ModelServer* first = process.find(start.pool, start.server);
  if (first == nullptr || !first->is_slot) return first;
  const AddressText address = to_text(start.place.addr);
  for (const ModelServer& server : process.find_pool(start.pool)->servers) {
    const bool is_there = server.address == address.view() && server.port == start.place.port;
    if (server.who() == start.server && is_there && (server.serves() || !first->serves())) return &server;
  }
  return first;
}

/// As HAProxy should have it: a static algorithm has the configured one alone.
std::uint32_t weight_of(HaproxyProcess& process, const Start& start) {
  const ModelPool* pool = process.find_pool(start.pool);
  const ModelServer* server = server_of(process, start);
  const bool is_fixed = pool != nullptr && !pool->takes_dynamic_servers && server != nullptr;
  return is_fixed ? server->initial_weight : start.weight;
}

std::string host_text(std::size_t host) { return "HAProxy " + std::to_string(host); }

}  // namespace

SidecarBounds::SidecarBounds(const WorldOptions& options) : hold(options.promised_hold) {
  for (const HostOptions& host : options.hosts) {
    // Pieces follow each other; the sidecar may have been paused.
    stale = std::max(stale, 12 * host.latency_max + host.late_max + options.pause_max + 100ms);
  }
  seen = options.core.reconcile_interval + 8s;
  // Hold, the cluster's completion, grace, quarantine, requests that still run, and refusals waited out.
  // and who is silent below the floor stays five minutes.
  converge_all = hold + options.core.policy.grace + options.core.policy.grace + quarantine + 120s + 6min;
}

// ---- lines

void LineChecker::on_line(World& world, std::size_t host, haproxy::Stream, std::string_view text) {
  ++in_this_second_[host];
  const Line line(text);
  if (!line.is_clean || !line.is_known()) return world.fail("not one clean line of a known command: " + quoted(text));
  if (!line.changes()) return;
  if (!world.is_ours(line.server())) return world.fail("a server that is not ours is touched: " + quoted(text));
  HaproxyProcess* live = world.host(host).live();
  const ModelPool* pool = live == nullptr ? nullptr : live->find_pool(line.pool());
  const bool is_hopeless = pool != nullptr && !pool->can_take_servers();  // Tried again now and then.
  if (!is_quiet_ || is_hopeless) return;
  // Who is gone or unready may have been held until now.
  const std::size_t which = world.start_of(host, line.pool(), line.server());
  if (which == Node::kNoStart || !world.is_wanted(which)) return;
  world.fail("a change although everything is as it should be: " + quoted(text));
}

void LineChecker::begin_quiet(std::size_t limit) {
  is_quiet_ = true;
  quiet_limit_ = limit;
  in_this_second_.clear();
}

void LineChecker::on_second(World& world) {
  const std::size_t nodes = world.options().nodes_max;
  const std::size_t limit = is_quiet_ ? quiet_limit_ : 3000 + nodes * 40;
  for (auto& [host, lines] : in_this_second_) {
    if (lines > limit) world.fail(std::to_string(lines) + " lines in a second to " + host_text(host));
    lines = 0;
  }
}

/// Slots tell by their address alone whose they are: of several starts at one place the sidecar may know the other.
bool is_slot_of_another(World& world, std::size_t host, std::string_view pool, std::string_view name,
                        std::size_t which) {
  HaproxyProcess* live = world.host(host).live();
  const ModelServer* server = live == nullptr ? nullptr : live->find(pool, name);
  if (server == nullptr || !server->is_slot) return false;
  const auto& starts = world.starts();
  for (std::size_t i = 0; i < starts.size(); ++i) {
    const bool is_there = i != which && starts[i].pool == starts[which].pool && starts[i].place == starts[which].place;
    if (is_there && world.told(starts[i].node).start == i) return true;
  }
  return false;
}

// ---- rotation

void RotationChecker::on_line(World& world, std::size_t host, haproxy::Stream, std::string_view text) {
  const Line line(text);
  if (!line.takes_out()) return;
  const std::size_t which = world.start_of(host, line.pool(), line.server());
  if (which == Node::kNoStart) return;
  const Start& start = world.starts()[which];
  const Told& told = world.told(start.node);
  if (world.good_since(which) != kNever) {
    if (world.good_since(which) >= world.batch_began()) return;  // The line is older than the word that speaks for it.
    // The same name at another place than the member's has to go; an old process shows it longer.
    bool is_elsewhere = false, is_there_at_all = false;
    world.host(host).each_process([&](HaproxyProcess& process) {
      const ModelServer* server = process.find(line.pool(), line.server());
      if (server == nullptr) return;
      is_there_at_all = true;
      is_elsewhere = is_elsewhere || server->address != to_text(start.place.addr).view() ||
                     server->port != start.place.port || line.pool() != start.pool;
    });
    if (is_elsewhere || (!is_there_at_all && line.is("del", "server"))) return;
    return world.fail("a ready task's server is taken out: " + quoted(text));
  }
  if (told.start != Node::kNoStart || told.is_forgotten || !start.task_lives || start.says != TaskState::kReady) return;
  if (is_slot_of_another(world, host, line.pool(), line.server(), which)) return;
  const Instant from = world.sidecar_started() + bounds_.hold;
  if (world.batch_began() < from || world.ready_told() == kNever ||
      world.batch_began() < world.ready_told() + bounds_.say_most) {
    world.fail("a server is taken out before the facts are complete: " + quoted(text));
  }
}

// ---- floor

void FloorChecker::on_line(World& world, std::size_t host, haproxy::Stream, std::string_view text) {
  const Line line(text);
  const bool is_enabled = line.is("enable", "server") || (line.is("set", "server") && line[4] == "ready");
  if (line.is("add", "server") || is_enabled) going_.erase({host, std::string(line.server())});
  if (!line.takes_out()) return;
  going_[{host, std::string(line.server())}] = world.now();
  const WorldOptions& options = world.options();
  const std::size_t which = world.start_of(host, line.pool(), line.server());
  HaproxyProcess* live = world.host(host).live();
  if (which == Node::kNoStart || live == nullptr || !options.verify_is_sure) return;
  const Start& start = world.starts()[which];
  const Told& told = world.told(start.node);
  const bool serves = start.task_lives && start.worker_lives && start.says == TaskState::kReady;
  // Called failed, and nothing else is said against it.
  const bool only_failed = told.start == which && told.status == MemberStatus::kFailed &&
                           told.state == TaskState::kReady && told.wish == announce::Wish::kNone && !told.is_mixed &&
                           told.addr == start.place.addr && !world.is_claimed_by_others(which);
  const ModelServer* server = live->find(line.pool(), line.server());
  if (!serves || !only_failed || server == nullptr || server->port != start.place.port) return;
  if (line.is("del", "server"))
    return world.fail("a server that serves is deleted because gossip failed: " + quoted(text));
  const ModelPool& pool = *live->find_pool(line.pool());
  const bool somebody_stays = std::any_of(pool.servers.begin(), pool.servers.end(), [&](const ModelServer& other) {
    const std::size_t its = world.start_of(other.who());
    if (its == Node::kNoStart || its == which) return false;
    // What an operator's hand has just done has not been seen.
    const bool by_hand = other.touched_by_operator != kNever &&
                         world.now() - other.touched_by_operator < options.core.reconcile_interval + 1s;
    if (by_hand && other.weight > 0) return true;
    if (other.admin != 0 || other.weight == 0) return false;
    const auto gone = going_.find({host, other.name});
    if (gone != going_.end() && world.now() - gone->second < 3s) return false;
    const Start& stays = world.starts()[its];
    return stays.worker_lives ||
           world.now() - stays.worker_died < 30s;  // What it had answered is not forgotten at once.
  });
  if (!somebody_stays) world.fail("the last that serves is taken out because gossip failed: " + quoted(text));
}

// ---- deletion

void DeletionChecker::on_line(World& world, std::size_t host, haproxy::Stream, std::string_view text) {
  const Line line(text);
  HaproxyProcess* live = world.host(host).live();
  if (!line.is("del", "server") || live == nullptr) return;
  const ModelServer* server = live->find(line.pool(), line.server());
  if (server == nullptr || server->in_flight() == 0 || server->touched_by_operator != kNever) return;
  if (world.is_connected_to(host, *live)) world.fail("a delete while a request is in flight: " + quoted(text));
}

void DeletionChecker::on_change(World& world, std::size_t host, HaproxyProcess& process, Hand hand,
                                const ModelPool& pool, const ModelServer* before, const ModelServer* after) {
  const bool is_given =
      before != nullptr && after != nullptr && (before->address != after->address || before->port != after->port);
  if (hand == Hand::kShoal && is_given && before->in_flight() > 0 && before->touched_by_operator == kNever &&
      world.is_connected_to(host, process)) {
    return world.fail("a slot is given to another task while a request is in flight: " + pool.name + "/" +
                      before->name);
  }
  if (hand != Hand::kShoal || before == nullptr || after != nullptr) return;
  if (before->is_static) return world.fail("a static server is deleted: " + pool.name + "/" + before->name);
  if (before->touched_by_operator != kNever) return;
  const Instant now = world.now();
  if (now - before->maintenance_since >= bounds_.quarantine && now - before->served_until >= bounds_.quarantine) return;
  world.fail("deleted after " + std::to_string(to_ms(now - before->maintenance_since)) +
             " ms in maintenance: " + pool.name + "/" + before->name);
}

// ---- operator

/// Whether the sidecar has been told what lets even a marked server go.
bool OperatorChecker::may_go(const World& world, std::size_t which) {
  if (which == Node::kNoStart) return true;  // A stray.
  const Start& start = world.starts()[which];
  const Told& told = world.told(start.node);
  if (told.start != which || !told.is_member) return true;
  return told.state == TaskState::kDeparting || !is_there(told.status);
}

void OperatorChecker::on_change(World& world, std::size_t host, HaproxyProcess& process, Hand hand,
                                const ModelPool& pool, const ModelServer* before, const ModelServer* after) {
  if (&process != world.host(host).live() || before == nullptr || !world.is_ours(before->name)) return;
  const std::pair key{host, before->name};
  if (hand == Hand::kOperator && after != nullptr) {
    marks_.erase(key);
    if (after->admin != 0 && after->weight > 0) marks_[key] = Mark{world.now(), after->who()};
    return;
  }
  const auto mark = marks_.find(key);
  if (mark == marks_.end()) return;
  const Instant since = mark->second.since;
  const std::string who = mark->second.who;
  const bool is_held = after != nullptr && after->admin != 0 && after->weight > 0;
  if (is_held) return;
  marks_.erase(mark);
  if (hand != Hand::kShoal || may_go(world, world.start_of(who))) return;
  if (world.now() - since < bounds_.seen) return;
  world.fail("an operator's mark is overwritten after " + std::to_string(to_ms(world.now() - since)) +
             " ms: " + pool.name + "/" + before->name);
}

void OperatorChecker::on_process_end(World&, std::size_t host, HaproxyProcess&) {
  for (auto it = marks_.begin(); it != marks_.end();) it = it->first.first == host ? marks_.erase(it) : ++it;
}

// ---- truth

void TruthChecker::on_change(World& world, std::size_t host, HaproxyProcess& process, Hand, const ModelPool&,
                             const ModelServer* before, const ModelServer* after) {
  if (&process != world.host(host).live() || before == nullptr) return;
  const bool was = before->admin == 0 && before->weight > 0;
  const bool is = after != nullptr && after->admin == 0 && after->weight > 0;
  if (was && !is) lost_at_[{host, before->who()}] = world.now();
}

void TruthChecker::on_process_end(World& world, std::size_t host, HaproxyProcess& process) {
  for (const ModelPool& pool : process.pools()) {
    for (const ModelServer& server : pool.servers) {
      if (server.admin == 0 && server.weight > 0) lost_at_[{host, server.who()}] = world.now();
    }
  }
}

bool TruthChecker::was_in_rotation(World& world, std::size_t host, const Start& start, Duration within) const {
  if (HaproxyProcess* live = world.host(host).live()) {
    const ModelServer* server = server_of(*live, start);
    const bool is_at_place =
        server != nullptr && server->address == to_text(start.place.addr).view() && server->port == start.place.port;
    if (is_at_place && server->admin == 0 && server->weight > 0) return true;
  }
  // A slot is told by its place alone: whose ever it was.
  const auto& starts = world.starts();
  return std::any_of(starts.begin(), starts.end(), [&](const Start& other) {
    if (other.pool != start.pool || !(other.place == start.place)) return false;
    const auto lost = lost_at_.find({host, other.server});
    return lost != lost_at_.end() && world.now() - lost->second <= within;
  });
}

void TruthChecker::on_accepted(World& world, std::size_t which, const announce::Standing& standing) {
  ++accepted;
  const Start& start = world.starts()[which];
  std::size_t connected = 0;
  for (std::size_t host = 0; host < world.hosts(); ++host) {
    if (!world.core().proxy_up(host)) continue;
    ++connected;
    HaproxyProcess* live = world.host(host).live();
    const ModelServer* server = live == nullptr ? nullptr : server_of(*live, start);
    // What an operator's hand has just done is seen with the next look.
    const bool by_hand = server != nullptr && server->touched_by_operator != kNever &&
                         world.now() - server->touched_by_operator < bounds_.seen;
    if (by_hand || was_in_rotation(world, host, start, bounds_.stale)) continue;
    if (is_slot_of_another(world, host, start.pool, start.server, which)) continue;
    return world.fail("accepted, but " + host_text(host) + " has it not in rotation: " + start.server);
  }
  if (connected == 0) world.fail("accepted without any HAProxy: " + start.server);
  if (standing.proxies_up != connected) world.fail("the standing counts other HAProxies than there are");
}

void TruthChecker::on_drained(World& world, std::size_t which, const announce::Standing&) {
  ++drained;
  const Start& start = world.starts()[which];
  for (std::size_t host = 0; host < world.hosts(); ++host) {
    world.host(host).each_process([&](HaproxyProcess& process) {
      const ModelServer* server = server_of(process, start);
      if (server == nullptr || server->in_flight() == 0 || server->touched_by_operator != kNever) return;
      // An old process counts as long as it can be asked.
      if (process.stopping ? !world.is_connected_to(host, process) : !world.core().proxy_up(host)) return;
      world.fail("drained, but " + std::to_string(server->in_flight()) + " requests are in flight at " +
                 host_text(host) + ": " + start.server);
    });
  }
}

void TruthChecker::on_request(World& world, std::size_t host, HaproxyProcess&, const ModelPool& pool,
                              const ModelServer& server) {
  const std::size_t which = world.start_of(server.who());
  if (which == Node::kNoStart || !world.starts()[which].drained || server.touched_by_operator != kNever) return;
  if (!world.sidecar_runs() || !world.core().proxy_up(host)) return;
  world.fail("a request goes to a server that was told drained, at " + host_text(host) + ": " + pool.name + "/" +
             server.name);
}

/// What is said stays true, but for the time that a loss takes to be seen.
void TruthChecker::on_second(World& world) {
  if (!world.sidecar_runs() || world.sidecar_paused()) return;
  for (std::size_t which = 0; which < world.starts().size(); ++which) {
    const Start& start = world.starts()[which];
    if (!start.accepted || !start.task_lives || start.says != TaskState::kReady) continue;
    if ((which + static_cast<std::size_t>(to_ms(world.now() - Instant{}) / 1000)) % 4 != 0) continue;
    const auto standing =
        world.core().standing(world.nodes()[start.node].name, announce::Generation{start.id, start.seq});
    if (!standing.in_rotation) continue;
    for (std::size_t host = 0; host < world.hosts(); ++host) {
      if (!world.core().proxy_up(host) || was_in_rotation(world, host, start, bounds_.seen + bounds_.stale)) continue;
      return world.fail("still said to be in rotation at " + host_text(host) + ": " + start.server);
    }
  }
}

// ---- convergence

SidecarCheckers::SidecarCheckers(World& world)
    : bounds_(world.options()), rotation_(bounds_), deletion_(bounds_), operator_(bounds_), truth_(bounds_) {
  // The operator's marks are judged before they are renewed by who else looks at the same change.
  for (WorldObserver* observer : {static_cast<WorldObserver*>(&lines_), static_cast<WorldObserver*>(&rotation_),
                                  static_cast<WorldObserver*>(&floor_), static_cast<WorldObserver*>(&deletion_),
                                  static_cast<WorldObserver*>(&operator_), static_cast<WorldObserver*>(&truth_)}) {
    world.observe(*observer);
  }
}

/// One that does not refuse connections may stay where too little of its pool would.
bool SidecarCheckers::may_be_held(World& world, const ModelPool& pool, const Endpoint& place) {
  if (!world.is_silent(place) && !world.answers(place)) return false;
  // A worker that nobody wants requests for sits at its place: as good as its own.
  for (std::size_t i = 0; i < world.starts().size(); ++i) {
    const Start& other = world.starts()[i];
    if (other.place == place && other.worker_lives && other.host_lives && !world.is_wanted(i)) return true;
  }
  std::size_t whole = 0, serving = 0;
  for (const Node& node : world.nodes()) {
    if (node.start == Node::kNoStart) continue;
    const Start& other = world.starts()[node.start];
    if (other.pool != pool.name) continue;
    ++whole;
    const bool is_well = node.is_member && is_there(node.status) && other.task_lives && other.worker_lives;
    serving += is_well && other.says == TaskState::kReady && node.wish == announce::Wish::kNone ? 1 : 0;
  }
  return serving * 100 < std::max<std::size_t>(100, whole * world.options().core.policy.removal_floor);
}

bool SidecarCheckers::is_marked_start(World& world, std::size_t host, const Start& start) const {
  HaproxyProcess* live = world.host(host).live();
  const ModelServer* server = live == nullptr ? nullptr : server_of(*live, start);
  return operator_.is_marked_for(host, start.server) || (server != nullptr && is_marked(host, server->name));
}

std::string SidecarCheckers::wrong_server(World& world, std::size_t host, const ModelPool& pool,
                                          const ModelServer& server, bool leftovers) const {
  const std::string name = pool.name + "/" + server.name + " at " + host_text(host);
  const std::size_t which = world.start_of(server.who());
  const bool in_rotation = server.admin == 0 && server.weight > 0;
  const Start* start = which == Node::kNoStart ? nullptr : &world.starts()[which];
  const Node* node = start == nullptr ? nullptr : &world.nodes()[start->node];
  if (is_marked(host, server.name)) return "";
  const bool is_current = node != nullptr && node->is_member && node->start == which && is_there(node->status) &&
                          start->task_lives && start->says != TaskState::kDeparting && pool.name == start->pool;
  if (!is_current) {
    // Whoever does not refuse connections may be held: the silent for five minutes.
    const Endpoint place{IpAddress::parse(server.address).value_or(IpAddress{}), server.port};
    const bool answers = world.answers(place);
    const bool refuses = !answers && !world.is_silent(place);
    if (start != nullptr && !refuses && (!leftovers || (answers && may_be_held(world, pool, place)))) return "";
    if (in_rotation) return name + " is in rotation, its task is gone";
    return leftovers ? name + " is still there, its task is gone" : "";
  }
  if (node->wish != announce::Wish::kNone)
    return in_rotation ? name + " is in rotation against an operator's wish" : "";
  if (start->says != TaskState::kReady) {
    if (!in_rotation || may_be_held(world, pool, start->place)) return "";
    return name + " is in rotation although unready";
  }
  return "";
}

std::string SidecarCheckers::wrong(World& world, bool leftovers) const {
  for (std::size_t host = 0; host < world.hosts(); ++host) {
    HaproxyProcess* live = world.host(host).live();
    if (live == nullptr) return host_text(host) + " does not run";
    for (const ModelPool& pool : live->pools()) {
      for (const ModelServer& server : pool.servers) {
        if (!world.is_ours(server.name) || server.is_spare()) continue;
        const std::string found = wrong_server(world, host, pool, server, leftovers);
        if (!found.empty()) return found;
      }
    }
    for (const Node& node : world.nodes()) {
      if (!node.is_member || node.start == Node::kNoStart || !is_there(node.status)) continue;
      const Start& start = world.starts()[node.start];
      if (!start.task_lives || !start.worker_lives || start.says != TaskState::kReady) continue;
      if (node.wish != announce::Wish::kNone) continue;
      ModelPool* pool = live->find_pool(start.pool);
      if (pool == nullptr || !pool->can_take_servers() || is_marked_start(world, host, start)) continue;
      // Of several that say they are at one place, one has it.
      std::size_t serving = 0;
      bool is_held = false;  // By an operator, or the place by one that can be served nowhere.
      for (const Node& other : world.nodes()) {
        if (!other.is_member || other.start == Node::kNoStart || !is_there(other.status)) continue;
        const Start& there = world.starts()[other.start];
        if (!(there.place == start.place) || !there.task_lives || there.says != TaskState::kReady) continue;
        const ModelServer* server = server_of(*live, there);
        const bool is_right = server != nullptr && server->admin == 0 && server->weight == weight_of(*live, there) &&
                              server->port == there.place.port && server->address == to_text(there.place.addr).view();
        const ModelPool* its_pool = live->find_pool(there.pool);
        is_held = is_held || (its_pool != nullptr && !its_pool->can_take_servers());
        is_held = is_held || other.wish != announce::Wish::kNone;
        serving += is_right ? 1 : 0;
        is_held = is_held || is_marked_start(world, host, there);
      }
      if (serving != 1 && !(serving == 0 && is_held)) {
        return std::to_string(serving) + " servers in rotation as they should be for " + start.server + " at " +
               host_text(host);
      }
    }
  }
  return "";
}

void SidecarCheckers::expect_convergence(World& world) {
  if (!world.run_until_every(500ms, bounds_.converge_rotation, [&] { return wrong(world, false).empty(); })) {
    return world.fail("no convergence: " + wrong(world, false));
  }
  if (!world.run_until_every(1s, bounds_.converge_all, [&] { return wrong(world, true).empty(); })) {
    return world.fail("not cleaned up: " + wrong(world, true));
  }
}

void SidecarCheckers::expect_quiet(World& world, Duration span) {
  if (world.failed()) return;
  const Duration watch = world.options().promised_watch;
  // Looks, probes, and the polls of servers that are kept in maintenance with requests in flight.
  lines_.begin_quiet(static_cast<std::size_t>(Duration(1s) / watch) * 2 + 20 + world.nodes().size() / 4);
  world.run_for(span);
}

}  // namespace shoal::test
