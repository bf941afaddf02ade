#include "app/control_server.h"

#include "admin/http_request.h"
#include "app/control_socket.h"
#include "base/base64.h"
#include "reactor/file.h"
#include "reactor/unix_listener.h"

namespace shoal::app {
namespace {

constexpr std::size_t kKeyBytesMax = 32;

}  // namespace

struct ControlServer::Impl final : reactor::UnixListenerHandler {
  /// What a connection of the listener is at.
  struct Slot {
    admin::HttpRequestParser parser;
    std::uint64_t ref = 0;  // Of the request that the handler has; 0 = none.
  };

  Impl(reactor::Loop& l, Log& lg, ControlHandler& h)
      : loop(l), log(lg), handler(h), listener(l, *this), slots(reactor::UnixListener::kConnectionsMax) {
    for (std::uint32_t i = 0; i < reactor::UnixListener::kConnectionsMax; ++i) slots.emplace_back();
  }

  void on_accepted(reactor::UnixConnection& connection) override {
    Slot& slot = slots[connection.index()];
    slot.parser.reset();
    slot.ref = 0;
  }

  void on_bytes(reactor::UnixConnection& connection, Bytes bytes) override {
    Slot& slot = slots[connection.index()];
    if (slot.ref != 0) return;  // One request a connection: what follows is nobody's.
    switch (slot.parser.on_bytes(bytes)) {
      case admin::HttpRequestParser::State::kReading: return;
      case admin::HttpRequestParser::State::kFailed:
        return connection.finish(admin::http_response(slot.parser.error()));
      case admin::HttpRequestParser::State::kComplete: return dispatch(connection, slot);
    }
  }

  void on_gone(reactor::UnixConnection& connection) override { slots[connection.index()].ref = 0; }

  void on_timeout(reactor::UnixConnection& connection) override {
    Slot& slot = slots[connection.index()];
    if (slot.ref == 0) return;  // Never said what it wants: closed without a word.
    slot.ref = 0;
    connection.finish(
        admin::http_response(504, admin::error_json("no answer in time; the cluster may be busy, try again")));
  }

  void dispatch(reactor::UnixConnection& connection, Slot& slot) {
    const std::string_view body = slot.parser.body();
    ControlRequest request;
    request.operation = slot.parser.route().operation;
    std::uint8_t key[kKeyBytesMax];
    admin::KeyRequest with_key;
    admin::ForceLeaveRequest leave;
    admin::EventRequest event;
    admin::SteerRequest steer;
    std::string wrong;
    switch (request.operation) {
      case admin::Operation::kHealth:
      case admin::Operation::kReady:
      case admin::Operation::kStatus:
      case admin::Operation::kMembers:
      case admin::Operation::kKeysList: break;
      case admin::Operation::kKeysInstall:
      case admin::Operation::kKeysUse:
      case admin::Operation::kKeysRemove: {
        wrong = admin::read_request(body, with_key);
        const auto size = base64_decode(with_key.key, key);
        const bool good = size && (*size == 16 || *size == 24 || *size == 32);
        if (wrong.empty() && !good) wrong = "the key is not base64 of 16, 24 or 32 bytes; `shoal keygen` makes one";
        request.key = Bytes(key).first(size.value_or(0));
        break;
      }
      case admin::Operation::kForceLeave:
        wrong = admin::read_request(body, leave);
        request.name = leave.name;
        request.prune = leave.prune;
        break;
      case admin::Operation::kEvent:
        wrong = admin::read_request(body, event);
        request.name = event.name;
        request.payload = as_bytes(event.payload);
        request.coalesce = event.coalesce;
        break;
      case admin::Operation::kSteer:
        wrong = admin::read_request(body, steer);
        request.name = steer.name;
        request.wish = steer.wish;
        request.stop = steer.stop;
        break;
    }
    if (!wrong.empty()) return connection.finish(admin::http_response(400, admin::error_json(wrong)));
    slot.ref = request.ref = ++last_ref;
    connection.wait_until(loop.now() + kAnswerMost);
    handler.on_control(request);
  }

  void respond(std::uint64_t ref, int status, std::string_view json) {
    if (ref == 0) return;
    for (std::uint32_t i = 0; i < reactor::UnixListener::kConnectionsMax; ++i) {
      if (slots[i].ref != ref) continue;
      slots[i].ref = 0;
      listener.at(i).finish(admin::http_response(status, json));
      return;
    }
  }

  /// Tries the places in their order; the last one's error.
  Result<void> listen(const std::vector<std::string>& places) {
    Error error;
    for (const std::string& place : places) {
      if (Result<void> done = listener.listen(place); !done.ok()) {
        error = done.error();
        continue;
      }
      log.info("control socket listens", {{"socket", place}});
      return {};
    }
    return error;
  }

  reactor::Loop& loop;
  Log& log;
  ControlHandler& handler;
  reactor::UnixListener listener;
  FixedVector<Slot> slots;
  std::uint64_t last_ref = 0;
};

ControlServer::ControlServer(reactor::Loop& loop, Log& log, ControlHandler& handler)
    : impl_(std::make_unique<Impl>(loop, log, handler)) {}

ControlServer::~ControlServer() = default;

Result<void> ControlServer::open(const config::Control& control, std::string_view role, std::uint16_t gossip_port) {
  switch (control.kind) {
    case config::Control::Kind::kOff: return {};
    case config::Control::Kind::kSocket: return impl_->listen({control.socket});
    case config::Control::Kind::kAuto: break;
  }
  // Where the directory cannot be made the socket cannot either, and the abstract name takes its place.
  (void)reactor::make_directory(std::string(kControlDirectory), 0755);
  const Result<void> listens = impl_->listen(default_control_sockets(role, gossip_port));
  if (!listens.ok()) {
    impl_->log.warn("no control socket; shoal members and the like cannot reach this process",
                    {{"error", listens.error().message}});
  }
  return {};
}

void ControlServer::close() {
  for (auto& slot : impl_->slots) slot.ref = 0;
  impl_->listener.close();
}

void ControlServer::answer(std::uint64_t ref, const admin::Status& status) {
  impl_->respond(ref, 200, admin::to_json(status));
}
void ControlServer::answer(std::uint64_t ref, const admin::Health& health) {
  impl_->respond(ref, health.healthy ? 200 : 503, admin::to_json(health));
}
void ControlServer::answer(std::uint64_t ref, const std::vector<admin::Member>& members) {
  impl_->respond(ref, 200, admin::to_json(members));
}
void ControlServer::answer(std::uint64_t ref, const admin::KeysAnswer& keys) {
  impl_->respond(ref, 200, admin::to_json(keys));
}
void ControlServer::done(std::uint64_t ref) { impl_->respond(ref, 200, "{}"); }
void ControlServer::fail(std::uint64_t ref, int http_status, std::string_view message) {
  impl_->respond(ref, http_status, admin::error_json(message));
}

const std::string& ControlServer::socket() const { return impl_->listener.name(); }

}  // namespace shoal::app
