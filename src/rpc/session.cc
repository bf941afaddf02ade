#include "rpc/session.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/check.h"

namespace shoal::rpc {
namespace {

namespace msgpack = wire::msgpack;

constexpr std::int64_t kVersion = 1;
constexpr std::array kLevels = {MonitorLevel::kTrace, MonitorLevel::kDebug, MonitorLevel::kInfo, MonitorLevel::kWarn,
                                MonitorLevel::kErr};

/// In a time that says nothing of where they differ.
bool same_secret(std::string_view a, std::string_view b) {
  unsigned difference = a.size() == b.size() ? 0 : 1;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference |= static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b.empty() ? '\0' : b[i % b.size()]);
  }
  return difference == 0;
}

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return out;
}

std::optional<MonitorLevel> level_of(std::string_view text) {
  for (const MonitorLevel level : kLevels) {
    if (upper(text) == to_text(level)) return level;
  }
  return std::nullopt;
}

}  // namespace

std::string_view to_text(MonitorLevel level) {
  switch (level) {
    case MonitorLevel::kTrace: return "TRACE";
    case MonitorLevel::kDebug: return "DEBUG";
    case MonitorLevel::kInfo: return "INFO";
    case MonitorLevel::kWarn: return "WARN";
    case MonitorLevel::kErr: return "ERR";
  }
  SHOAL_UNREACHABLE();
}

void Session::on_bytes(Bytes bytes) {
  SHOAL_ASSERT(wants_bytes());
  input_.insert(input_.end(), bytes.begin(), bytes.end());
}

const Request* Session::next() {
  while (!closing_ && request_size_ == 0 && output_.size() < kRecordBytesMax) {
    switch (read_request(input_, kRequestBytesMax, request_, request_size_)) {
      case ReadStatus::kIncomplete: request_size_ = 0; return nullptr;
      case ReadStatus::kMalformed: closing_ = true; return nullptr;
      case ReadStatus::kUnknown:
        write_header(output_, request_.seq,
                     !shaken_        ? "Handshake required"
                     : !authorised() ? "Authentication required"
                                     : "Unsupported command");
        closing_ = true;
        return nullptr;
      case ReadStatus::kComplete: break;
    }
    if (!handle_here()) return &request_;
  }
  return nullptr;
}

/// False: it is the owner's.
bool Session::handle_here() {
  const Command command = request_.command;
  if (command == Command::kHandshake) return handshake(), true;
  if (!shaken_) {
    answer("Handshake required");
    closing_ = true;
    return true;
  }
  if (command == Command::kAuth) return authenticate(), true;
  if (!authorised()) {
    answer("Authentication required");
    return true;
  }
  switch (command) {
    case Command::kStream: return begin_stream(), true;
    case Command::kMonitor: return begin_monitor(), true;
    case Command::kStop:
      std::erase_if(streams_, [this](const Stream& stream) { return stream.seq == request_.id; });
      if (monitor_ && monitor_->seq == request_.id) monitor_.reset();
      answer("");
      return true;
    case Command::kQuery:
      if (queries_.size() < kQueriesMax) return false;
      answer("too many queries of this client are open");
      return true;
    case Command::kHandshake:
    case Command::kAuth:
    case Command::kEvent:
    case Command::kForceLeave:
    case Command::kJoin:
    case Command::kMembers:
    case Command::kMembersFiltered:
    case Command::kTags:
    case Command::kLeave:
    case Command::kRespond:
    case Command::kInstallKey:
    case Command::kUseKey:
    case Command::kRemoveKey:
    case Command::kListKeys:
    case Command::kStats:
    case Command::kGetCoordinate: return false;
  }
  SHOAL_UNREACHABLE();
}

void Session::handshake() {
  if (request_.version != kVersion) return answer("Unsupported IPC version");
  if (shaken_) return answer("Handshake already performed");
  shaken_ = true;
  answer("");
}

void Session::authenticate() {
  // Where there is no key none is right.
  if (!auth_key_.empty() && same_secret(request_.auth_key, auth_key_)) {
    authorised_ = true;
    return answer("");
  }
  closing_ = ++wrong_keys_ == kWrongKeysMax;
  answer("Invalid authentication token");
}

void Session::answer(std::string_view error, const Body& body) {
  SHOAL_ASSERT(request_size_ != 0);
  write_header(output_, request_.seq, error);
  if (body) body(output_);
  input_.erase(input_.begin(), input_.begin() + static_cast<std::ptrdiff_t>(request_size_));
  request_size_ = 0;
}

void Session::answer_query(std::uint64_t token, Instant deadline) {
  queries_.push_back({request_.seq, token, deadline});
  answer("");
}

bool Session::seq_is_taken() const {
  const bool by_stream =
      std::any_of(streams_.begin(), streams_.end(), [this](const Stream& s) { return s.seq == request_.seq; });
  return by_stream || (monitor_ && monitor_->seq == request_.seq);
}

void Session::begin_stream() {
  auto filter = EventFilter::parse(request_.text);
  if (seq_is_taken()) return answer("Stream with given sequence exists");
  if (!filter) return answer("Invalid event filter");
  if (streams_.size() == kStreamsMax) return answer("too many streams of this client are open");
  streams_.push_back({request_.seq, std::move(*filter)});
  answer("");
}

void Session::begin_monitor() {
  const auto level = level_of(request_.text);
  if (!level) return answer("Unknown log level: " + upper(request_.text.substr(0, 64)));
  if (monitor_) return answer("Monitor already exists");
  monitor_ = Monitor{request_.seq, *level};
  monitor_is_new_ = true;
  answer("");
}

bool Session::has_room() {
  if (closing_) return false;
  if (output_.size() < kRecordBytesMax) return true;
  ++dropped_;
  return false;
}

void Session::on_member(EventKind kind, const Member& member) {
  for (const Stream& stream : streams_) {
    if (!stream.filter.matches(kind, {}) || !has_room()) continue;
    write_header(output_, stream.seq, "");
    append(output_, 64, [&](ByteWriter& writer) {
      msgpack::put_map(writer, 2);
      msgpack::put_text(writer, "Event", to_text(kind));
      msgpack::put_text(writer, "Members");
      msgpack::put_array(writer, 1);
    });
    write_member(output_, member);
  }
}

void Session::on_user_event(std::uint64_t ltime, std::string_view name, Bytes payload, bool coalesce) {
  for (const Stream& stream : streams_) {
    if (!stream.filter.matches(EventKind::kUser, name) || !has_room()) continue;
    write_header(output_, stream.seq, "");
    append(output_, 128 + name.size() + payload.size(), [&](ByteWriter& writer) {
      msgpack::put_map(writer, 5);
      msgpack::put_bool(writer, "Coalesce", coalesce);
      msgpack::put_text(writer, "Event", to_text(EventKind::kUser));
      msgpack::put_uint(writer, "LTime", ltime);
      msgpack::put_text(writer, "Name", name);
      put_bin(writer, "Payload", payload);
    });
  }
}

void Session::on_query(Instant now, std::uint64_t ref, Instant deadline, std::uint64_t ltime, std::string_view name,
                       Bytes payload) {
  std::uint64_t id = 0;
  for (const Stream& stream : streams_) {
    if (!stream.filter.matches(EventKind::kQuery, name) || !has_room()) continue;
    if (id == 0) {
      id = ++last_id_;
      std::erase_if(pending_, [&](const PendingQuery& query) { return query.deadline < now; });
      if (pending_.size() == kPendingQueriesMax) pending_.erase(pending_.begin());
      pending_.push_back({id, ref, deadline});
    }
    write_header(output_, stream.seq, "");
    append(output_, 128 + name.size() + payload.size(), [&](ByteWriter& writer) {
      msgpack::put_map(writer, 5);
      msgpack::put_text(writer, "Event", to_text(EventKind::kQuery));
      msgpack::put_uint(writer, "ID", id);
      msgpack::put_uint(writer, "LTime", ltime);
      msgpack::put_text(writer, "Name", name);
      put_bin(writer, "Payload", payload);
    });
  }
}

void Session::query_record(const OpenQuery& query, std::string_view type, std::string_view from, Bytes payload) {
  write_header(output_, query.seq, "");
  append(output_, 64 + from.size() + payload.size(), [&](ByteWriter& writer) {
    msgpack::put_map(writer, 3);
    msgpack::put_text(writer, "From", from);
    put_bin(writer, "Payload", payload);
    msgpack::put_text(writer, "Type", type);
  });
}

bool Session::on_response(std::uint64_t token, bool ack, std::string_view from, Bytes payload) {
  for (const OpenQuery& query : queries_) {
    if (query.token != token) continue;
    if (has_room()) query_record(query, ack ? "ack" : "response", from, payload);
    return true;
  }
  return false;
}

void Session::on_log(MonitorLevel level, std::string_view line) {
  if (!monitor_ || level < monitor_->level || !has_room()) return;
  write_header(output_, monitor_->seq, "");
  append(output_, 32 + line.size(), [&](ByteWriter& writer) {
    msgpack::put_map(writer, 1);
    msgpack::put_text(writer, "Log", line);
  });
}

void Session::on_deadline(Instant now) {
  for (std::size_t i = 0; i < queries_.size();) {
    if (queries_[i].deadline > now) {
      ++i;
      continue;
    }
    // However slow the client: without this record it waits for ever.
    if (!closing_) query_record(queries_[i], "done", "", {});
    queries_.erase(queries_.begin() + static_cast<std::ptrdiff_t>(i));
  }
}

Instant Session::next_deadline() const {
  Instant next = kNever;
  for (const OpenQuery& query : queries_) next = earlier(next, query.deadline);
  return next;
}

std::uint64_t Session::find_query(Instant now, std::uint64_t id) const {
  for (const PendingQuery& query : pending_) {
    if (query.id == id) return query.deadline < now ? 0 : query.ref;
  }
  return 0;
}

}  // namespace shoal::rpc
