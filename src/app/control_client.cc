#include "app/control_client.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "admin/api.h"
#include "admin/http_client.h"
#include "app/control_server.h"
#include "app/control_text.h"
#include "app/process.h"
#include "app/status_text.h"
#include "config/text.h"
#include "config/values.h"
#include "reactor/client_stream.h"
#include "reactor/loop.h"
#include "reactor/unix_names.h"

namespace shoal::app {
namespace {

using config::Command;

constexpr Duration kWaitMost = ControlServer::kAnswerMost + 3s;
constexpr Duration kHealthWait = 1s;
constexpr Duration kStatusWait = 5s;
constexpr int kExitFailed = 1;
constexpr int kExitTemporary = 75;

ControlOutcome failed(int exit_code, std::string error) { return {exit_code, {}, {std::move(error)}}; }

admin::Operation operation_of(Command::Kind kind, bool ready) {
  switch (kind) {
    case Command::Kind::kHealth: return ready ? admin::Operation::kReady : admin::Operation::kHealth;
    case Command::Kind::kStatus: return admin::Operation::kStatus;
    case Command::Kind::kMembers: return admin::Operation::kMembers;
    case Command::Kind::kKeysList: return admin::Operation::kKeysList;
    case Command::Kind::kKeysInstall: return admin::Operation::kKeysInstall;
    case Command::Kind::kKeysUse: return admin::Operation::kKeysUse;
    case Command::Kind::kKeysRemove: return admin::Operation::kKeysRemove;
    case Command::Kind::kForceLeave: return admin::Operation::kForceLeave;
    case Command::Kind::kSteer: return admin::Operation::kSteer;
    case Command::Kind::kEvent: return admin::Operation::kEvent;
    case Command::Kind::kRun:
    case Command::Kind::kConfigCheck:
    case Command::Kind::kConfigPrint:
    case Command::Kind::kConfigReference:
    case Command::Kind::kVersion:
    case Command::Kind::kHelp:
    case Command::Kind::kKeygen: break;
  }
  SHOAL_UNREACHABLE();
}

/// One request on one connection, until its answer, its end or the deadline.
class Exchange final : private reactor::ClientStreamHandler {
 public:
  explicit Exchange(Duration wait)
      : wait_(wait),
        stream_(loop_, *this),
        timer_(loop_, [this] { end("no answer in " + config::duration_text(wait_) + "; it is busy or hangs"); }) {}

  struct Answer {
    int status = 0;
    std::string body;
  };
  /// The error's code is ETIME when the connection was made and no answer came, else why there was no connection.
  Result<Answer> run(const std::string& socket, const std::string& request) {
    if (Result<void> connected = connect(socket); !connected.ok()) return connected.error();
    if (!stream_.write(as_bytes(request))) return Error{EMSGSIZE, "the request is too long"};
    timer_.at(loop_.now() + wait_);
    loop_.run();
    timer_.stop();
    stream_.close();
    if (response_.state() != admin::HttpResponseParser::State::kComplete) return Error{ETIME, socket + ": " + error_};
    return Answer{response_.status(), response_.body()};
  }

  /// After a connect: it is a process of our own container, as far as pid namespaces tell.
  [[nodiscard]] bool sees_peer() const {
    const Result<pid_t> pid = stream_.peer_pid();
    return pid.ok() && pid.value() != 0;
  }

  /// Whether anybody is there, and whether it is somebody to be trusted with a key.
  Result<void> connect(const std::string& socket) {
    if (Result<void> connected = stream_.connect(socket); !connected.ok()) return connected;
    const Result<uid_t> uid = stream_.peer_uid();
    if (socket[0] == '@' && (!uid.ok() || !reactor::is_trusted_uid(uid.value()))) {
      stream_.close();
      return Error{EACCES, socket + " belongs to another user; run this command as the user that shoal runs as"};
    }
    return {};
  }

 private:
  void on_bytes(Bytes bytes) override {
    switch (response_.on_bytes(bytes)) {
      case admin::HttpResponseParser::State::kReading: return;
      case admin::HttpResponseParser::State::kComplete: return loop_.stop();
      case admin::HttpResponseParser::State::kFailed: return end("what answers there is no shoal");
    }
  }
  void on_closed(const Error&) override { end("it closed the connection without an answer"); }
  void end(std::string error) {
    error_ = std::move(error);
    loop_.stop();
  }

  Duration wait_;
  reactor::Loop loop_;
  reactor::ClientStream stream_;
  reactor::Timer timer_;
  admin::HttpResponseParser response_;
  std::string error_;
};

/// The one socket to ask, or why there is none.
struct Choice {
  std::string socket;
  std::optional<ControlOutcome> failure;
};

/// Containers may share a network, and with it all abstract names, or /run/shoal: of several shoals those count first
/// that run in our own pid namespace.
void keep_nearest(std::vector<ControlPlace>& places, const std::vector<bool>& seen) {
  if (std::find(seen.begin(), seen.end(), true) == seen.end()) return;
  std::vector<ControlPlace> near;
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (seen[i]) near.push_back(places[i]);
  }
  places = std::move(near);
}

Choice choose_socket(const config::Loaded& loaded) {
  const config::Control& control = loaded.config.control;
  switch (control.kind) {
    case config::Control::Kind::kOff:
      return {{}, failed(kExitUnavailable, "control.socket is off in these settings, so that shoal cannot be asked")};
    case config::Control::Kind::kSocket: return {control.socket, {}};
    case config::Control::Kind::kAuto: break;
  }
  std::vector<std::string> sockets = reactor::sockets_in(std::string(kControlDirectory));
  const std::vector<std::string> abstract = reactor::listening_abstract_names("@shoal/");
  sockets.insert(sockets.end(), abstract.begin(), abstract.end());
  std::vector<ControlPlace> alive;
  std::vector<bool> seen;
  std::vector<std::string> refused;
  for (const ControlPlace& place : fitting_places(sockets, loaded)) {
    Exchange exchange(kHealthWait);
    const Result<void> connected = exchange.connect(place.socket);
    if (connected.ok()) {
      alive.push_back(place);
      seen.push_back(exchange.sees_peer());
    }
    // A file that a dead process left is nobody's.
    else if (connected.error().code != ECONNREFUSED && connected.error().code != ENOENT)
      refused.push_back(connected.error().message);
  }
  keep_nearest(alive, seen);
  if (alive.size() == 1) return {alive[0].socket, {}};
  if (alive.empty()) {
    ControlOutcome none = failed(kExitUnavailable,
                                 "no shoal runs here (looked in /run/shoal and for @shoal/...); name its socket with "
                                 "--control-socket, or its settings with -c");
    none.errors.insert(none.errors.begin(), refused.begin(), refused.end());
    return {{}, none};
  }
  ControlOutcome several = failed(config::kExitUsage, "several shoals run here; name one with --control-socket:");
  for (const ControlPlace& place : alive)
    several.errors.push_back("  " + place.socket + "  (" + place.role + ", gossip port " +
                             std::to_string(place.gossip_port) + ")");
  return {{}, several};
}

/// One line from a descriptor, without its end. Empty when there is none.
std::string read_line(int fd) {
  constexpr std::size_t kLineMax = 1024;
  std::string out;
  while (out.size() < kLineMax) {
    char c = 0;
    const ssize_t size = ::read(fd, &c, 1);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0 || c == '\n') break;
    out += c;
  }
  return std::string(config::trimmed(out));
}

}  // namespace

std::vector<ControlPlace> fitting_places(const std::vector<std::string>& sockets, const config::Loaded& loaded) {
  // Only a port that somebody chose tells which shoal is meant: the default one is only where it begins to look.
  std::uint16_t port = 0;  // 0 = any.
  for (const config::Given& value : loaded.values) {
    if (value.setting->key == "gossip.bind" && value.origin.kind != config::Origin::Kind::kDefault)
      port = loaded.config.gossip.bind.port.value_or(0);
  }
  std::vector<ControlPlace> out;
  for (const std::string& socket : sockets) {
    auto place = parse_control_socket(socket);
    if (!place) continue;
    if (loaded.config.role && place->role != config::to_text(*loaded.config.role)) continue;
    if (port != 0 && place->gossip_port != port) continue;
    out.push_back(std::move(*place));
  }
  return out;
}

namespace {

Duration wait_of(const Command& command) {
  if (command.timeout > Duration{}) return command.timeout;
  if (command.kind == Command::Kind::kHealth) return kHealthWait;
  return command.kind == Command::Kind::kStatus ? kStatusWait : kWaitMost;
}

ControlOutcome ask(const Command& command, const config::Loaded& loaded, int key_input) {
  const admin::Route& route = admin::route_of(operation_of(command.kind, command.ready));
  std::string body;
  switch (route.operation) {
    case admin::Operation::kHealth:
    case admin::Operation::kReady:
    case admin::Operation::kStatus:
    case admin::Operation::kMembers:
    case admin::Operation::kKeysList: break;
    case admin::Operation::kKeysInstall:
    case admin::Operation::kKeysUse:
    case admin::Operation::kKeysRemove: {
      const std::string key = command.subject == "-" ? read_line(key_input) : command.subject;
      std::vector<std::uint8_t> bytes;
      if (const std::string wrong = config::read_key(key, bytes); key.empty() || !wrong.empty())
        return failed(config::kExitUsage, key.empty() ? "there is no key on stdin" : "the key " + wrong);
      body = admin::to_json(admin::KeyRequest{key});
      break;
    }
    case admin::Operation::kForceLeave:
      body = admin::to_json(admin::ForceLeaveRequest{command.subject, command.prune});
      break;
    case admin::Operation::kEvent:
      body = admin::to_json(admin::EventRequest{command.subject, command.payload, command.coalesce});
      break;
    case admin::Operation::kSteer:
      body = admin::to_json(admin::SteerRequest{command.subject, command.wish, command.stop});
      break;
  }
  const Choice choice = choose_socket(loaded);
  if (choice.failure) return *choice.failure;
  Exchange exchange(wait_of(command));
  const auto answer = exchange.run(choice.socket, admin::http_request(route, body));
  if (!answer.ok()) {
    const bool answers = answer.error().code == ETIME;
    return failed(answers ? kExitTemporary : kExitUnavailable, answer.error().message);
  }
  return tell_answer(command, answer.value().status, answer.value().body);
}

/// Well or not, and why: a health check's log shows both streams.
ControlOutcome tell_health(const Command& command, const admin::Health& health, const std::string& body) {
  const std::string word = command.ready ? "ready" : "healthy";
  ControlOutcome out;
  if (command.json) out.out = body + "\n";
  if (health.healthy) {
    if (!command.json) out.out = word + ": " + plain_text(health.reason) + "\n";
  } else {
    out.exit_code = kExitFailed;
    out.errors.push_back("not " + word + ": " + plain_text(health.reason));
  }
  return out;
}

}  // namespace

ControlOutcome run_control_command(const Command& command, const config::Loaded& loaded, int key_input) {
  ControlOutcome out = ask(command, loaded, key_input);
  // Container platforms know 0 and 1 alone.
  if (command.kind == Command::Kind::kHealth && out.exit_code != 0) out.exit_code = kExitFailed;
  return out;
}

ControlOutcome tell_answer(const Command& command, int status, const std::string& body) {
  if (command.kind == Command::Kind::kHealth && (status == 200 || status == 503)) {
    admin::Health health;
    if (admin::from_json(body, health) && health.healthy == (status == 200)) return tell_health(command, health, body);
  }
  if (status != 200) {
    const auto error = admin::error_from_json(body);
    const bool later = status == 503 || status == 504;
    return failed(later ? kExitTemporary : kExitFailed,
                  plain_text(error.value_or("it answered " + std::to_string(status) + " without a reason")));
  }
  const ControlOutcome nonsense = failed(kExitFailed, "what answers there is no shoal, or one of another version");
  ControlOutcome out;
  if (command.kind == Command::Kind::kHealth) return nonsense;
  if (command.kind == Command::Kind::kStatus) {
    admin::Status told;
    if (!admin::from_json(body, told)) return nonsense;
    out.out = command.json ? body + "\n" : status_text(told);
  } else if (command.kind == Command::Kind::kMembers) {
    std::vector<admin::Member> members;
    if (!admin::from_json(body, members)) return nonsense;
    out.out = command.json ? admin::to_json(members) + "\n" : members_text(members);
  } else if (command.kind == Command::Kind::kForceLeave || command.kind == Command::Kind::kEvent ||
             command.kind == Command::Kind::kSteer) {
    if (command.json) out.out = "{}\n";
  } else {
    admin::KeysAnswer keys;
    if (!admin::from_json(body, keys)) return nonsense;
    out.out = command.json ? admin::to_json(keys) + "\n" : keys_text(keys, command.kind == Command::Kind::kKeysList);
    for (const admin::NodeError& error : keys.errors)
      out.errors.push_back(plain_text(error.node) + ": " + plain_text(error.message));
    if (keys.answered < keys.nodes)
      out.errors.push_back(std::to_string(keys.nodes - keys.answered) + " of " + std::to_string(keys.nodes) +
                           " members did not answer; run the command again before the next step");
    if (!keys.complete()) out.exit_code = kExitFailed;
  }
  return out;
}

}  // namespace shoal::app
