#include "app/rpc_server.h"

#include <algorithm>
#include <ctime>
#include <utility>

#include "reactor/system.h"

namespace shoal::app {
namespace {

constexpr Duration kLastWords = 2s;  // For the peer to take the answer before which the connection ends.

rpc::MonitorLevel level_of(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug: return rpc::MonitorLevel::kDebug;
    case LogLevel::kInfo: return rpc::MonitorLevel::kInfo;
    case LogLevel::kWarn: return rpc::MonitorLevel::kWarn;
    case LogLevel::kError: return rpc::MonitorLevel::kErr;
  }
  SHOAL_UNREACHABLE();
}

}  // namespace

RpcServer::RpcServer(reactor::Loop& loop, const config::Config& config, Log& log, GossipDriver& gossip, Role role)
    : loop_(loop),
      config_(config),
      log_(log),
      gossip_(gossip),
      role_(std::move(role)),
      streams_(loop, *this, kConnectionsMax),
      listener_(loop, streams_),
      timer_(loop, [this] { on_timer(); }),
      join_(loop, gossip),
      clients_(kConnectionsMax) {}

RpcServer::~RpcServer() { close(); }

Result<void> RpcServer::open() {
  const auto bound = listener_.listen(*config_.rpc.bind);
  if (!bound.ok()) {
    const AddressText where = to_text(*config_.rpc.bind);
    return Error{bound.error().code, "rpc.bind = \"" + std::string(where.view()) + "\": " + bound.error().message};
  }
  open_ = true;
  log_.info("serf's RPC listens", {{"addr", to_text(bound.value())}, {"auth_key", !config_.rpc.auth_key.empty()}});
  log_.set_tap(
      [](void* self, LogLevel level, std::string_view text) { static_cast<RpcServer*>(self)->on_log(level, text); },
      this);
  gossip_.set_listener(this);
  loop_.at_end_of_turn([this] {
    if (!open_) return;
    each_client([this](Client& client) { send(client); });
    arm();
  });
  return {};
}

void RpcServer::close() {
  if (!std::exchange(open_, false)) return;
  gossip_.set_listener(nullptr);
  log_.set_tap(nullptr, nullptr);
  listener_.close();
  timer_.stop();
  each_client([](Client& client) {
    if (client.leaves) client.session.answer("");
    const std::vector<std::uint8_t> last = client.session.take_output();
    client.stream.finish_now(last);
  });
  for (auto& client : clients_) client.reset();
}

template <typename F>
void RpcServer::each_client(F&& f) {
  for (const auto& client : clients_) {
    if (client != nullptr && client->stream.is_open()) f(*client);
  }
}

RpcServer::Client* RpcServer::client_of(std::uint64_t connection) {
  for (const auto& client : clients_) {
    if (client != nullptr && client->connection == connection) return client.get();
  }
  return nullptr;
}

void RpcServer::on_accepted(reactor::TcpStream& stream) {
  if (!open_ || !gossip_.started()) return stream.close();
  clients_[stream.index()] = std::make_unique<Client>(stream, config_.rpc.auth_key, loop_.now() + kShyMost);
}

void RpcServer::on_connected(reactor::TcpStream&) {}
void RpcServer::on_failed(reactor::TcpStream&, reactor::StreamEnd) {}

void RpcServer::on_closed(reactor::TcpStream& stream, reactor::StreamEnd) { clients_[stream.index()].reset(); }

void RpcServer::on_bytes(reactor::TcpStream& stream, Bytes bytes) {
  Client& client = *clients_[stream.index()];
  if (client.closing_at != kNever || !client.session.wants_bytes()) return;  // What is read now is read for nothing.
  client.session.on_bytes(bytes);
  proceed(client);
}

void RpcServer::on_end(reactor::TcpStream& stream) {
  Client& client = *clients_[stream.index()];
  client.peer_ended = true;
  proceed(client);
}

void RpcServer::on_written(reactor::TcpStream& stream) {
  Client& client = *clients_[stream.index()];
  client.sending.clear();
  client.stuck_at = kNever;
  proceed(client);
}

void RpcServer::drop(Client& client) {
  client.stream.close();
  clients_[client.stream.index()].reset();
}

void RpcServer::proceed(Client& client) {
  while (const rpc::Request* request = client.session.is_answering() ? nullptr : client.session.next()) {
    serve(client, *request);
  }
  if (client.session.take_new_monitor()) {
    for (const LogLine& line : lines_) client.session.on_log(line.level, line.text);
  }
  send(client);
}

void RpcServer::send(Client& client) {
  if (!client.stream.is_writing() && client.closing_at == kNever && !client.session.output().empty()) {
    client.sending = client.session.take_output();
    client.stream.write(client.sending);
    client.stuck_at = loop_.now() + kStuckMost;
  }
  const bool is_idle = !client.stream.is_writing() && !client.session.is_answering();
  if (client.peer_ended && is_idle) return drop(client);
  if (client.session.wants_close() && is_idle && client.closing_at == kNever) {
    // Not closed at once: the peer would lose what it has not read yet, were there anything of its own left unread.
    client.stream.shutdown_write();
    client.closing_at = loop_.now() + kLastWords;
  }
  client.stream.pause_reading(client.closing_at == kNever && !client.session.wants_bytes());
}

void RpcServer::on_timer() {
  const Instant now = loop_.now();
  for (const auto& client : clients_) {
    if (client == nullptr) continue;
    client->session.on_deadline(now);
    const bool is_over = now >= client->closing_at || now >= client->stuck_at ||
                         (!client->session.is_welcome() && now >= client->shy_until);
    is_over ? drop(*client) : proceed(*client);
  }
}

void RpcServer::arm() {
  Instant next = kNever;
  each_client([&next](const Client& client) { next = earlier(next, client.next_deadline()); });
  timer_.at(next);
}

void RpcServer::on_log(LogLevel level, std::string_view text) {
  const std::time_t seconds = static_cast<std::time_t>(reactor::wall_clock_ms() / 1000);
  std::tm time{};
  ::gmtime_r(&seconds, &time);
  char stamp[32];
  const std::size_t size = std::strftime(stamp, sizeof stamp, "%Y/%m/%d %H:%M:%S", &time);
  LogLine line;
  line.level = level_of(level);
  line.text = std::string(stamp, size) + " [" + std::string(rpc::to_text(line.level)) + "] shoal: ";
  line.text += text;
  each_client([&line](Client& client) { client.session.on_log(line.level, line.text); });
  if (lines_.size() == kLogLinesMax) lines_.pop_front();
  lines_.push_back(std::move(line));
}

// ---- News: sent at the end of the turn.

void RpcServer::on_member(serf::MemberEventKind kind, std::string_view name, const serf::Member* member) {
  rpc::EventKind event = rpc::EventKind::kMemberReap;
  switch (kind) {
    case serf::MemberEventKind::kJoin: event = rpc::EventKind::kMemberJoin; break;
    case serf::MemberEventKind::kLeaving: return;  // Serf has no event for that.
    case serf::MemberEventKind::kLeave: event = rpc::EventKind::kMemberLeave; break;
    case serf::MemberEventKind::kFailed: event = rpc::EventKind::kMemberFailed; break;
    case serf::MemberEventKind::kUpdate: event = rpc::EventKind::kMemberUpdate; break;
    case serf::MemberEventKind::kReap: break;
  }
  const rpc::Member shown = rpc_member(name, member);
  each_client([&](Client& client) { client.session.on_member(event, shown); });
}

void RpcServer::on_user_event(serf::LamportTime ltime, std::string_view name, Bytes payload, bool coalesce) {
  each_client([&](Client& client) { client.session.on_user_event(ltime, name, payload, coalesce); });
}

void RpcServer::on_query(std::uint64_t ref, const serf::QueryEvent& query) {
  each_client([&](Client& client) {
    client.session.on_query(loop_.now(), ref, query.ref.deadline, query.ref.ltime, query.name.view(),
                            query.payload.view());
  });
}

bool RpcServer::on_response(const serf::ResponseEvent& response) {
  bool is_ours = false;
  each_client([&](Client& client) {
    is_ours = is_ours ||
              client.session.on_response(response.token, response.ack, response.from.view(), response.payload.view());
  });
  return is_ours;
}

}  // namespace shoal::app
