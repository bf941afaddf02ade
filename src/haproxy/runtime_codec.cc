#include "haproxy/runtime_codec.h"

#include <algorithm>
#include <charconv>

namespace shoal::haproxy {
namespace {

constexpr std::string_view kStateHead =
    "# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight ";
constexpr std::size_t kStateColumns = 19;  // Up to srv_port.
constexpr std::string_view kWorkerEnd = "\n> ";
constexpr std::string_view kMasterEnd = "\nmaster";  // Then kReloadFailed or nothing, then "> ".
constexpr std::string_view kReloadFailed = "[ReloadFailed]";

template <typename Int>
bool parse_number(std::string_view text, Int& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size() && !text.empty();
}

constexpr std::uint32_t kCheckConfigured = 0x02;  // In srv_check_state.

void put_server(ByteWriter& out, const Command& command) {
  if (command.backend.empty() || command.server.empty()) return out.fail();
  out.put(command.backend.view());
  out.put("/");
  out.put(command.server.view());
}

/// Without a port HAProxy connects to the port its client used, which is itself; 0.0.0.0 it takes for localhost.
bool is_place(const Endpoint& address) {
  return !address.addr.empty() && !address.addr.is_unspecified() && address.port != 0;
}

void put_add(ByteWriter& out, const Command& command) {
  if (!is_place(command.address) || command.options == nullptr) return out.fail();
  out.put("add server ");
  put_server(out, command);
  out.put(" ");
  out.put(to_text(command.address).view());
  out.put(" weight 0");
  if (command.id != 0) {
    out.put(" id ");
    put_decimal(out, command.id);
  }
  if (!command.options->text().empty()) {
    out.put(" ");
    out.put(command.options->text());
  }
  if (command.init_down) out.put(" init-state down");
}

std::string_view word_of(AdminState state) {
  switch (state) {
    case AdminState::kReady: return "ready";
    case AdminState::kDrain: return "drain";
    case AdminState::kMaint: return "maint";
  }
  SHOAL_UNREACHABLE();
}

void put_command(ByteWriter& out, const Command& command) {
  switch (command.kind) {
    case CommandKind::kShowInfo: return out.put("show info");
    case CommandKind::kShowBackend: return out.put("show backend");
    case CommandKind::kShowServersState:
      out.put("show servers state");
      if (!command.backend.empty()) {
        out.put(" ");
        out.put(command.backend.view());
      }
      return;
    case CommandKind::kShowStat:
      if (command.backend.empty() || command.id == 0) return out.fail();
      out.put("show stat ");
      out.put(command.backend.view());
      out.put(" 4 ");
      return put_decimal(out, command.id);
    case CommandKind::kAddServer: return put_add(out, command);
    case CommandKind::kEnableHealth: out.put("enable health "); return put_server(out, command);
    case CommandKind::kEnableServer: out.put("enable server "); return put_server(out, command);
    case CommandKind::kSetState:
      out.put("set server ");
      put_server(out, command);
      out.put(" state ");
      return out.put(word_of(command.state));
    case CommandKind::kSetWeight:
      if (command.weight > 256) return out.fail();
      out.put("set server ");
      put_server(out, command);
      out.put(" weight ");
      return put_decimal(out, command.weight);
    case CommandKind::kSetHealthDown:
      out.put("set server ");
      put_server(out, command);
      return out.put(" health down");
    case CommandKind::kSetAddress:
      if (!is_place(command.address)) return out.fail();
      out.put("set server ");
      put_server(out, command);
      out.put(" addr ");
      out.put(to_text(command.address.addr).view());
      out.put(" port ");
      return put_decimal(out, command.address.port);
    case CommandKind::kDelServer: out.put("del server "); return put_server(out, command);
  }
  SHOAL_UNREACHABLE();
}

std::string_view take_line(std::string_view& rest) {
  const std::size_t end = rest.find('\n');
  const std::string_view line = rest.substr(0, end);
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  return line;
}

std::string_view take_word(std::string_view& rest, char separator) {
  const std::size_t end = rest.find(separator);
  const std::string_view word = rest.substr(0, end);
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  return word;
}

std::string_view without_line_feeds(std::string_view text) {
  while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
  return text;
}

bool has_line(std::string_view text, std::string_view wanted) {
  while (!text.empty()) {
    if (take_line(text) == wanted) return true;
  }
  return false;
}

Outcome judge_refusal(std::string_view text) {
  if (has_line(text, "No such server.")) return Outcome::kNoSuchServer;
  if (has_line(text, "No such backend.")) return Outcome::kNoSuchBackend;
  if (has_line(text, "Permission denied")) return Outcome::kPermissionDenied;
  if (has_line(text, "Already exists a server with the same name in backend.")) return Outcome::kAlreadyThere;
  if (text.find("Backend must use a dynamic load balancing") != std::string_view::npos ||
      text.find("Backend does not support dynamic servers") != std::string_view::npos) {
    return Outcome::kStaticBalance;
  }
  if (text.find("custom id ") != std::string_view::npos && text.find(" already used at ") != std::string_view::npos) {
    return Outcome::kIdTaken;
  }
  if (text.find("Server still has connections attached to it") != std::string_view::npos) return Outcome::kStillUsed;
  if (text.find("Only servers in maintenance mode can be deleted") != std::string_view::npos) {
    return Outcome::kNotInMaintenance;
  }
  if (text.find("only accepts weights '0%' and '100%'") != std::string_view::npos) return Outcome::kFixedWeights;
  if (text.find("Health check was not configured on this server") != std::string_view::npos) return Outcome::kNoCheck;
  return Outcome::kRefused;
}

/// "IP changed from 'A' to 'B', port changed from ...", "no need to change the addr, ..."; 3.x names only what changed,
/// or says "nothing changed".
bool is_address_taken(std::string_view text) {
  if (text.substr(0, 7) == "Invalid") return false;
  return text.find(" changed from '") != std::string_view::npos || text.substr(0, 17) == "no need to change" ||
         text.substr(0, 15) == "nothing changed";
}

/// "Key: value" of `show info`.
std::optional<std::string_view> info_value(std::string_view line, std::string_view key) {
  if (line.size() < key.size() + 2 || line.substr(0, key.size()) != key) return std::nullopt;
  if (line.substr(key.size(), 2) != ": ") return std::nullopt;
  return line.substr(key.size() + 2);
}

}  // namespace

std::optional<Framing::End> Framing::find(std::string_view text, std::size_t from) const {
  if (!is_master) {
    const std::size_t at = text.find(kWorkerEnd, from);
    if (at == std::string_view::npos) return std::nullopt;
    return End{at, at + kWorkerEnd.size()};
  }
  for (std::size_t at = text.find(kMasterEnd, from); at != std::string_view::npos; at = text.find(kMasterEnd, at + 1)) {
    std::string_view rest = text.substr(at + kMasterEnd.size());
    if (rest.substr(0, kReloadFailed.size()) == kReloadFailed) rest.remove_prefix(kReloadFailed.size());
    if (rest.substr(0, 2) == "> ") return End{at, text.size() - rest.size() + 2};
  }
  return std::nullopt;
}

std::size_t Framing::resume_at(std::string_view text, std::size_t from) const {
  const std::size_t overlap = is_master ? kMasterEnd.size() + kReloadFailed.size() + 1 : kWorkerEnd.size() - 1;
  return std::max(from, text.size() < overlap ? 0 : text.size() - overlap);
}

Greeting parse_greeting(std::string_view text) {
  if (text == kWorkerEnd) return Greeting::kWorker;
  std::string_view rest = text;
  if (rest.substr(0, kMasterEnd.size() - 1) != kMasterEnd.substr(1)) return Greeting::kIncomplete;
  rest.remove_prefix(kMasterEnd.size() - 1);
  if (rest.substr(0, kReloadFailed.size()) == kReloadFailed) rest.remove_prefix(kReloadFailed.size());
  return rest == "> " ? Greeting::kMaster : Greeting::kIncomplete;
}

Level parse_level(std::string_view reply) {
  const std::string_view text = without_line_feeds(reply);
  if (text == "user") return Level::kUser;
  if (text == "operator") return Level::kOperator;
  return text == "admin" ? Level::kAdmin : Level::kUnknown;
}

bool is_name(std::string_view text, std::size_t size_max) {
  if (text.empty() || text.size() > size_max) return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
           c == ':' || c == '-';
  });
}

void put_decimal(ByteWriter& out, std::uint64_t value) {
  char digits[20];
  const auto [end, error] = std::to_chars(digits, digits + sizeof digits, value);
  SHOAL_ASSERT(error == std::errc{});
  out.put(std::string_view(digits, static_cast<std::size_t>(end - digits)));
}

bool encode(const Command& command, ByteWriter& out) {
  std::uint8_t memory[kLineBytesMax];
  ByteWriter line{MutableBytes(memory)};
  put_command(line, command);
  line.put("\n");
  if (!line.ok() || line.size() > out.left()) return false;
  out.put(line.written());
  return true;
}

std::string_view to_text(Outcome outcome) {
  switch (outcome) {
    case Outcome::kDone: return "done";
    case Outcome::kAlreadyThere: return "already_there";
    case Outcome::kNoSuchServer: return "no_such_server";
    case Outcome::kNoSuchBackend: return "no_such_backend";
    case Outcome::kStaticBalance: return "static_balance";
    case Outcome::kIdTaken: return "id_taken";
    case Outcome::kStillUsed: return "still_used";
    case Outcome::kNotInMaintenance: return "not_in_maintenance";
    case Outcome::kNoCheck: return "no_check";
    case Outcome::kFixedWeights: return "fixed_weights";
    case Outcome::kPermissionDenied: return "permission_denied";
    case Outcome::kNoSlot: return "no_slot";
    case Outcome::kRefused: return "refused";
  }
  SHOAL_UNREACHABLE();
}

Outcome judge(CommandKind kind, std::string_view reply) {
  const std::string_view text = without_line_feeds(reply);
  switch (kind) {
    case CommandKind::kShowInfo: return parse_info(reply) ? Outcome::kDone : judge_refusal(text);
    case CommandKind::kShowBackend: return BackendReader(reply).is_table() ? Outcome::kDone : judge_refusal(text);
    case CommandKind::kShowServersState:
      if (ServerStateReader(reply).is_table()) return Outcome::kDone;
      return text == "Can't find backend." ? Outcome::kNoSuchBackend : judge_refusal(text);
    case CommandKind::kShowStat:
      if (text.substr(0, 9) == "# pxname,") return Outcome::kDone;
      return text == "No such proxy." ? Outcome::kNoSuchBackend : judge_refusal(text);
    // Warning lines may come before the success ("Ignoring cookie as HTTP mode is disabled.").
    case CommandKind::kAddServer:
      return has_line(text, "New server registered.") ? Outcome::kDone : judge_refusal(text);
    case CommandKind::kDelServer: return has_line(text, "Server deleted.") ? Outcome::kDone : judge_refusal(text);
    case CommandKind::kSetAddress: return is_address_taken(text) ? Outcome::kDone : judge_refusal(text);
    case CommandKind::kEnableHealth:
    case CommandKind::kEnableServer:
    case CommandKind::kSetState:
    case CommandKind::kSetHealthDown:
    case CommandKind::kSetWeight: return text.empty() ? Outcome::kDone : judge_refusal(text);
  }
  SHOAL_UNREACHABLE();
}

std::optional<Info> parse_info(std::string_view reply) {
  Info info;
  bool has_pid = false;
  bool has_start = false;
  bool has_version = false;
  while (!reply.empty()) {
    const std::string_view line = take_line(reply);
    if (const auto pid = info_value(line, "Pid")) {
      has_pid = parse_number(*pid, info.pid);
    } else if (const auto start = info_value(line, "Start_time_sec")) {
      has_start = parse_number(*start, info.start_time_sec);
    } else if (const auto version = info_value(line, "Version")) {
      info.version.assign_cut(*version);
      has_version = true;
    } else if (const auto connections = info_value(line, "CurrConns")) {
      std::uint64_t value = 0;
      if (parse_number(*connections, value)) info.connections = value;
    } else if (const auto stopping = info_value(line, "Stopping")) {
      info.stopping = *stopping != "0";
    }
  }
  if (!has_pid || !has_start || !has_version) return std::nullopt;
  return info;
}

ServerStateReader::ServerStateReader(std::string_view reply) : rest_(reply) {
  if (take_line(rest_) != "1") return;  // The table's version; another one would have other columns.
  const std::string_view head = take_line(rest_);
  is_table_ = head.substr(0, kStateHead.size()) == kStateHead;
}

bool ServerStateReader::next(ServerRow& row) {
  while (is_table_ && !rest_.empty()) {
    std::string_view line = take_line(rest_);
    if (line.empty() || line.front() == '#') continue;
    std::array<std::string_view, kStateColumns> column;
    std::size_t columns = 0;
    while (columns < column.size() && !line.empty()) column[columns++] = take_word(line, ' ');
    row = ServerRow{};
    row.backend = column[1];
    row.server = column[3];
    bool ok = columns == column.size() && parse_number(column[2], row.id) && parse_number(column[5], row.op_state) &&
              parse_number(column[6], row.admin) && parse_number(column[7], row.weight) &&
              parse_number(column[8], row.configured_weight) && parse_number(column[18], row.address.port);
    std::uint32_t check_state = 0;
    row.has_check = parse_number(column[13], check_state) && (check_state & kCheckConfigured) != 0;
    if (ok && column[4] != "-") {
      const auto addr = IpAddress::parse(column[4]);
      if (addr) row.address.addr = *addr;  // A UNIX path or the like stays "no address".
    }
    if (ok) return true;
    ++malformed_;
  }
  return false;
}

BackendReader::BackendReader(std::string_view reply) : rest_(reply) { is_table_ = take_line(rest_) == "# name"; }

bool BackendReader::next(std::string_view& name) {
  while (is_table_ && !rest_.empty()) {
    name = take_line(rest_);
    if (!name.empty()) return true;
  }
  return false;
}

std::optional<Counters> parse_counters(std::string_view reply, std::string_view backend, std::string_view server) {
  constexpr std::string_view kNames[] = {"# pxname", "svname", "qcur", "scur", "used_conn_cur", "idle_conn_cur"};
  constexpr std::size_t kWanted = std::size(kNames);
  std::array<std::size_t, kWanted> place;
  place.fill(std::string_view::npos);
  std::string_view head = take_line(reply);
  for (std::size_t i = 0; !head.empty(); ++i) {
    const std::string_view word = take_word(head, ',');
    for (std::size_t k = 0; k < kWanted; ++k) {
      if (word == kNames[k]) place[k] = i;
    }
  }
  if (std::find(place.begin(), place.end(), std::string_view::npos) != place.end()) return std::nullopt;
  while (!reply.empty()) {
    std::string_view line = take_line(reply);
    std::array<std::string_view, kWanted> value;
    for (std::size_t i = 0; !line.empty(); ++i) {
      const std::string_view word = take_word(line, ',');
      for (std::size_t k = 0; k < kWanted; ++k) {
        if (i == place[k]) value[k] = word;
      }
    }
    if (value[0] != backend || value[1] != server) continue;
    Counters out;
    const bool ok = parse_number(value[2], out.queued) && parse_number(value[3], out.sessions) &&
                    parse_number(value[4], out.used) && parse_number(value[5], out.idle);
    if (ok) return out;
    return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace shoal::haproxy
