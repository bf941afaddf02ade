// What a task is told of its server: the state over all HAProxies, and where it is not as wanted, why, in words that
// name what to change.
#include <algorithm>
#include <cstdarg>
#include <cstdio>

#include "sidecar/core.h"

namespace shoal::sidecar {
namespace {

/// Longer than any change of HAProxy's socket at a reload.
constexpr Duration kNobodyFor = 1s;

using announce::Reason;
using announce::Standing;

__attribute__((format(printf, 3, 4))) void because(Standing& standing, Reason reason, const char* format, ...) {
  char text[announce::ReasonText::capacity() + 1];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  standing.reason = reason;
  standing.reason_text.assign_cut(text);
}

struct Printable {
  char text[80] = {};
  /// Of anything from the wire: what could disturb a log or a terminal becomes '?'.
  explicit Printable(std::string_view from) {
    std::size_t size = 0;
    for (const char c : from.substr(0, sizeof text - 1)) text[size++] = c > ' ' && c <= '~' ? c : '?';
  }
};

void explain_objection(const Fact& fact, const Policy& policy, Objection objection, Standing& standing) {
  const Printable pool(fact.word.pool);
  const AddressText addr = to_text(fact.addr);
  const int size = static_cast<int>(addr.size());
  switch (objection) {
    case Objection::kNone: return;
    case Objection::kNotAMember:
      return because(standing, Reason::kRetry, "the sidecar does not know this node as a member yet");
    case Objection::kBadPort:
      return because(standing, Reason::kFix, "the announced port is %u; it must be 1 to 65535", fact.word.port);
    case Objection::kBadPool:
      return because(standing, Reason::kFix,
                     "the pool name `%s` can be no HAProxy backend: 1 to 64 of A-Z a-z 0-9 _ . : -; set task.backend",
                     pool.text);
    case Objection::kPoolNotAllowed: {
      FixedString<200> allowed;
      for (const auto& name : policy.pools) {
        if (!allowed.append(" ") || !allowed.append(name.view())) break;
      }
      return because(standing, Reason::kFix,
                     "the pool `%s` is not in the sidecar's haproxy.backends (%.*s ); set task.backend to one of them",
                     pool.text, static_cast<int>(allowed.size()), allowed.view().data());
    }
    case Objection::kBadAddress:
      return because(
          standing, Reason::kFix,
          "the member's address %.*s cannot be a server's; set gossip.advertise to one that the proxy reaches", size,
          addr.view().data());
    case Objection::kLoopback:
      return because(
          standing, Reason::kFix,
          "the member's address %.*s is loopback, which the proxy would take for itself; join by an address of this "
          "machine instead of localhost, or set gossip.advertise",
          size, addr.view().data());
    case Objection::kNameTaken:
      return because(standing, Reason::kFix,
                     "another node's server has the same name in HAProxy; set another node.name");
  }
}

void explain_reach(const Fact& fact, Standing& standing) {
  const AddressText place = to_text(fact.place());
  const int size = static_cast<int>(place.size());
  switch (fact.reach_result) {
    case VerifyResult::kConnected: return;
    case VerifyResult::kRefused:
      return because(standing, Reason::kFix,
                     "%.*s cannot be reached from the proxy: connection refused; does the worker listen on that port, "
                     "on an address other than loopback?",
                     size, place.view().data());
    case VerifyResult::kTimedOut:
      return because(standing, Reason::kFix,
                     "%.*s cannot be reached from the proxy: timed out; is the port range open in the task's security "
                     "group?",
                     size, place.view().data());
    case VerifyResult::kUnreachable:
      return because(standing, Reason::kFix,
                     "%.*s cannot be reached from the proxy: no route to it; does gossip.advertise name an address in "
                     "the proxy's network?",
                     size, place.view().data());
  }
}

void because_static(const char* pool, Standing& standing) {
  because(standing, Reason::kFix,
          "the backend `%s` takes no servers at run time; give it `balance leastconn`, roundrobin or random, or a "
          "server-template (haproxy.method)",
          pool);
}

void explain_refusal(const Server& server, bool has_slots, std::string_view socket, Standing& standing) {
  const int pool_size = static_cast<int>(server.pool.view().size());
  const int text_size = static_cast<int>(server.refusal.size());
  const char* pool = server.pool.view().data();
  switch (server.refused) {
    case haproxy::Outcome::kNoSuchBackend:
      return because(standing, Reason::kFix,
                     "HAProxy has no backend `%.*s`; add it to haproxy.cfg or set task.backend to one that exists",
                     pool_size, pool);
    case haproxy::Outcome::kStaticBalance: return because_static(Printable(server.pool.view()).text, standing);
    case haproxy::Outcome::kPermissionDenied:
      return because(standing, Reason::kFix,
                     "HAProxy's socket %.*s is below level admin; write `stats socket %.*s level admin` in haproxy.cfg",
                     static_cast<int>(socket.size()), socket.data(), static_cast<int>(socket.size()), socket.data());
    case haproxy::Outcome::kNoSlot:
      // Another task's end frees one.
      return because(standing, has_slots ? Reason::kRetry : Reason::kFix, "%.*s", text_size,
                     server.refusal.view().data());
    case haproxy::Outcome::kDone:
    case haproxy::Outcome::kAlreadyThere:
    case haproxy::Outcome::kNoSuchServer:
    case haproxy::Outcome::kIdTaken:
    case haproxy::Outcome::kStillUsed:
    case haproxy::Outcome::kNotInMaintenance:
    case haproxy::Outcome::kNoCheck:
    case haproxy::Outcome::kFixedWeights:
    case haproxy::Outcome::kRefused:
      return because(standing, Reason::kFix, "HAProxy refused the server: %.*s; see haproxy.server_options", text_size,
                     server.refusal.view().data());
  }
}

}  // namespace

const Server* Core::find_server(const Proxy& proxy, const Fact& fact, std::string_view name, bool is_current) const {
  if (is_current) {
    const std::uint32_t index = proxy.table.find(fact.word.pool, name);
    return index == ServerTable::kNone ? nullptr : &proxy.table[index];
  }
  // An earlier start's pool is not remembered; the name alone is unique.
  for (std::uint32_t i = 0; i < proxy.table.size(); ++i) {
    if (proxy.table[i].used && proxy.table[i].name == name) return &proxy.table[i];
  }
  return nullptr;
}

/// No process of that HAProxy is left that could send requests.
bool Core::is_gone(const Proxy& proxy) const {
  const Instant since = proxy.session.nobody_since();
  return since != kNever && now_ - since >= kNobodyFor;
}

announce::Standing Core::standing(std::string_view node, const announce::Generation& generation) const {
  Standing result;
  result.proxies_total = static_cast<std::uint32_t>(proxies_.size());
  for (const Proxy& proxy : proxies_) result.proxies_up += proxy.session.is_up() ? 1 : 0;
  const std::uint32_t index = registry_.find(node);
  if (index == Registry::kNone || !registry_[index].has_word) {
    because(result, Reason::kRetry, "the sidecar has no word of this node");
    return result;
  }
  const Fact& fact = registry_[index];
  const bool is_current = fact.word.generation.start_id == generation.start_id;
  const haproxy::ServerName name =
      is_current ? fact.server : registry_.server_name(node, generation.start_id, fact.word.port);
  result.server = announce::ServerName(name.view());
  const bool is_ours = !is_current || !fact.name_taken;
  const bool departs = fact.departs();
  const auto was_up = [](const Proxy& proxy) { return proxy.session.was_up(); };
  result.in_rotation = is_current && is_ours && !departs && result.proxies_up > 0;
  // A sidecar that has never been connected to any cannot know what a stopping one still does.
  result.out = result.drained = result.proxies_up > 0 || std::all_of(proxies_.begin(), proxies_.end(), was_up);
  for (const Proxy& proxy : proxies_) {
    const Server* server = is_ours ? find_server(proxy, fact, name.view(), is_current) : nullptr;
    if (server != nullptr && server->has_old()) {  // In an old process, also while the new one does not answer yet.
      result.drained = false;
      result.in_flight += server->old_in_flight();
    }
    if (!proxy.session.is_up()) {
      // One that is silent may still have the server, and send it requests.
      if (!is_gone(proxy)) result.out = result.drained = false;
      continue;
    }
    const bool is_present = server != nullptr && server->observed.present;
    if (server != nullptr && server->bound()) {
      result.server = announce::ServerName(name_in_haproxy(proxy, *server).view());
    }
    const bool has_it = proxy.looked && is_present && server->observed.in_rotation() &&
                        same_place(server->observed.address, fact.place());
    result.in_rotation = result.in_rotation && has_it;
    result.proxies_in_rotation += has_it && is_current ? 1 : 0;
    const bool is_in_doubt = server != nullptr && server->in_doubt;
    const bool is_out = proxy.looked && !is_in_doubt && (!is_present || server->observed.in_maintenance());
    result.out = result.out && is_out;
    result.drained = result.drained && is_out && (!is_present || server->observed.drained);
    if (is_present) result.in_flight += static_cast<std::uint32_t>(server->in_flight);
  }
  if (!is_current) {
    if (generation.start_id < fact.word.generation.start_id || fact.is_there()) {
      because(result, Reason::kFix, "another start of this node is the present one; give each its own node.name");
    }
    return result;
  }
  const bool wants_rotation = fact.word.state == announce::TaskState::kReady;
  const bool is_settled = departs ? result.out : wants_rotation && result.in_rotation;
  if (!is_settled) explain(fact, result);
  return result;
}

/// The first cause that keeps the server from where it is wanted.
void Core::explain(const Fact& fact, Standing& standing) const {
  const Objection objected = objection(fact, options_.policy);
  if (options_.dry_run) {
    return because(standing, Reason::kNone,
                   "this sidecar is on a dry run (haproxy.dry_run): HAProxy is asked, and told nothing");
  }
  if (!fact.departs() && objected != Objection::kNone) {
    return explain_objection(fact, options_.policy, objected, standing);
  }
  if (standing.proxies_up == 0) {
    const std::string_view socket = options_.sockets[0];
    const std::string_view why = proxies_[0].session.down_text();
    return because(standing, Reason::kRetry, "HAProxy is away: %.*s: %.*s", static_cast<int>(socket.size()),
                   socket.data(), static_cast<int>(why.size()), why.data());
  }
  if (!fact.departs()) {
    if (!fact.is_there()) return because(standing, Reason::kRetry, "gossip says that this member has failed or left");
    if (fact.needs_word) {
      return because(standing, Reason::kRetry, "this member had failed or left; announce again to return");
    }
    if (fact.shadowed && fact.servable) {
      const AddressText place = to_text(fact.place());
      return because(standing, Reason::kFix, "another task announced %.*s later and has it",
                     static_cast<int>(place.size()), place.view().data());
    }
    if (fact.wish != announce::Wish::kNone) {
      const std::string_view wish = announce::to_text(fact.wish);
      return because(standing, Reason::kFix, "an operator wants it out of rotation (%.*s); `shoal ready %.*s` ends it",
                     static_cast<int>(wish.size()), wish.data(), static_cast<int>(fact.node.size()),
                     fact.node.view().data());
    }
    if (fact.word.state != announce::TaskState::kReady) {
      if (standing.in_rotation) {
        return because(standing, Reason::kNone,
                       "announced, but not as ready; held in rotation by haproxy.removal_floor");
      }
      return because(standing, Reason::kNone, "announced, but not as ready");
    }
    if (fact.reach == Reach::kFailed && options_.policy.verify) return explain_reach(fact, standing);
  }
  for (std::size_t i = 0; i < proxies_.size() && standing.reason_text.empty(); ++i) {
    if (!proxies_[i].session.is_up()) continue;
    explain_proxy(fact, proxies_[i], i, find_server(proxies_[i], fact, fact.server.view(), true), standing);
  }
}

void Core::explain_proxy(const Fact& fact, const Proxy& proxy, std::size_t number, const Server* server,
                         Standing& standing) const {
  const std::string_view socket = options_.sockets[number];
  const int socket_size = static_cast<int>(socket.size());
  const bool has_slots = server != nullptr && proxy.slots.pool(server->pool_number).slots > 0;
  if (!proxy.looked) {
    return because(standing, Reason::kRetry, "HAProxy's table at %.*s has not been read yet", socket_size,
                   socket.data());
  }
  if (fact.departs()) {
    if (server != nullptr && server->refused != haproxy::Outcome::kDone)
      explain_refusal(*server, has_slots, socket, standing);
    return;
  }
  if (!proxy.table.may_have_pool(fact.word.pool)) {
    const Printable pool(fact.word.pool);
    return because(standing, Reason::kFix,
                   "HAProxy has no backend `%s`; add it to haproxy.cfg or set task.backend to one that exists",
                   pool.text);
  }
  if (server == nullptr && !fact.servable) {  // It is not tried while another task serves at its place.
    const Printable pool(fact.word.pool);
    return because_static(pool.text, standing);
  }
  if (server == nullptr) return because(standing, Reason::kRetry, "the sidecar's table of servers is full");
  if (server->refused != haproxy::Outcome::kDone) return explain_refusal(*server, has_slots, socket, standing);
  if (server->observed.is_operators()) {
    const haproxy::ServerName name = name_in_haproxy(proxy, *server);
    return because(
        standing, Reason::kFix,
        "an operator has put the server into %s on HAProxy's socket %.*s; `set server %.*s/%.*s state ready` "
        "ends it",
        server->observed.in_maintenance() ? "maintenance" : "drain", socket_size, socket.data(),
        static_cast<int>(server->pool.view().size()), server->pool.view().data(), static_cast<int>(name.view().size()),
        name.view().data());
  }
  if (server->observed.present && server->observed.admin == 0 && server->observed.weight > 0 &&
      !server->observed.in_rotation()) {
    const AddressText place = to_text(fact.place());
    if (options_.check_first) {
      return because(standing, Reason::kNone, "HAProxy's own check of %.*s has not passed yet",
                     static_cast<int>(place.size()), place.view().data());
    }
    return because(standing, Reason::kRetry, "HAProxy's own check of %.*s fails", static_cast<int>(place.size()),
                   place.view().data());
  }
}

ServerView Core::view_of(Instant now, std::size_t proxy, std::uint32_t index) const {
  const Server& server = proxies_[proxy].table[index];
  ServerView view;
  view.proxy = static_cast<std::uint8_t>(proxy);
  if (is_claimed(server)) view.node = registry_[server.fact].node;
  view.pool = server.pool.view();
  view.server = server.name.view();
  if (server.bound()) view.slot = name_in_haproxy(proxies_[proxy], server);
  view.wanted = wanted_of(now, server);
  view.observed = server.observed;
  view.in_flight = server.in_flight + server.old_in_flight();
  view.refusal = server.refusal;
  view.held = server.held;
  if (server.held && server.look.silent_since != kNever) view.held_until = server.look.silent_since + kSilentMost;
  return view;
}

}  // namespace shoal::sidecar
