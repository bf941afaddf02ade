#include "sim/haproxy_model.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>

#include "base/endpoint.h"

namespace shoal::test {
namespace {

// What `show info` holds besides version, pid, Stopping and start, and the heads of the tables, as 2.6.12 has them.
constexpr std::string_view kInfoBeforePid = "Release_date: 2026/10/17\nNbthread: 2\nNbproc: 1\nProcess_num: 1\n";
constexpr std::string_view kInfoAfterPid =
    "Uptime: 0d 0h00m09s\nUptime_sec: 0\nMemmax_MB: 0\nPoolAlloc_MB: 0\nPoolUsed_MB: 0\nPoolFailed: 0\n"
    "Ulimit-n: 0\nMaxsock: 0\nMaxconn: 1000\nHard_maxconn: 0\n";
constexpr std::string_view kInfoAfterConnections =
    "CumConns: 0\nCumReq: 0\n"
    "MaxSslConns: 0\nCurrSslConns: 0\nCumSslConns: 0\nMaxpipes: 0\nPipesUsed: 0\nPipesFree: 0\nConnRate: 0\n"
    "ConnRateLimit: 0\nMaxConnRate: 0\nSessRate: 0\nSessRateLimit: 0\nMaxSessRate: 0\nSslRate: 0\n"
    "SslRateLimit: 0\nMaxSslRate: 0\nSslFrontendKeyRate: 0\nSslFrontendMaxKeyRate: 0\n"
    "SslFrontendSessionReuse_pct: 0\nSslBackendKeyRate: 0\nSslBackendMaxKeyRate: 0\nSslCacheLookups: 0\n"
    "SslCacheMisses: 0\nCompressBpsIn: 0\nCompressBpsOut: 0\nCompressBpsRateLim: 0\nTasks: 0\nRun_queue: 0\n"
    "Idle_pct: 0\nnode: host\n";
constexpr std::string_view kInfoAfterStopping =
    "Jobs: 0\nUnstoppable Jobs: 0\nListeners: 0\nActivePeers: 0\nConnectedPeers: 0\nDroppedLogs: 0\n"
    "BusyPolling: 0\nFailedResolutions: 0\nTotalBytesOut: 0\nTotalSplicdedBytesOut: 0\nBytesOutRate: 0\n"
    "DebugCommandsIssued: 0\nCumRecvLogs: 0\nBuild info: \nMemmax_bytes: 0\nPoolAlloc_bytes: 0\n"
    "PoolUsed_bytes: 0\n";
constexpr std::string_view kStateHead =
    "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_time_sinc"
    "e_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state bk_f_forced_i"
    "d srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr srv_agent_addr srv_age"
    "nt_port\n";
constexpr std::string_view kStatHead =
    "# pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,dreq,dresp,ereq,econ,eresp,wretr,wredis,status,weight,a"
    "ct,bck,chkfail,chkdown,lastchg,downtime,qlimit,pid,iid,sid,throttle,lbtot,tracked,type,rate,rate_lim,rate_max,"
    "check_status,check_code,check_duration,hrsp_1xx,hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,hrsp_other,hanafail,req_ra"
    "te,req_rate_max,req_tot,cli_abrt,srv_abrt,comp_in,comp_out,comp_byp,comp_rsp,lastsess,last_chk,last_agt,qtime,"
    "ctime,rtime,ttime,agent_status,agent_code,agent_duration,check_desc,agent_desc,check_rise,check_fall,check_hea"
    "lth,agent_rise,agent_fall,agent_health,addr,cookie,mode,algo,conn_rate,conn_rate_max,conn_tot,intercepted,dcon"
    ",dses,wrew,connect,reuse,cache_lookups,cache_hits,srv_icur,src_ilim,qtime_max,ctime_max,rtime_max,ttime_max,ei"
    "nt,idle_conn_cur,safe_conn_cur,used_conn_cur,need_conn_est,uweight,agg_server_status,agg_server_check_status,a"
    "gg_check_status,-,ssl_sess,ssl_reused_sess,ssl_failed_handshake,h2_headers_rcvd,h2_data_rcvd,h2_settings_rcvd,"
    "h2_rst_stream_rcvd,h2_goaway_rcvd,h2_detected_conn_protocol_errors,h2_detected_strm_protocol_errors,h2_rst_str"
    "eam_resp,h2_goaway_resp,h2_open_connections,h2_backend_open_streams,h2_total_connections,h2_backend_total_stre"
    "ams,h1_open_connections,h1_open_streams,h1_total_connections,h1_total_streams,h1_bytes_in,h1_bytes_out,h1_spli"
    "ced_bytes_in,h1_spliced_bytes_out,";
constexpr std::uint32_t kFirstPoolId = 3;
constexpr std::uint32_t kMaint = 1, kConfigured = 4, kDrain = 8;

/// Words of `add server` that this version takes, and how many values follow each.
struct Keyword {
  std::string_view word;
  std::size_t values;
  HaproxyVersion since;
};
constexpr Keyword kKeywords[] = {
    {"check", 0, HaproxyVersion::k26},         {"inter", 1, HaproxyVersion::k26},
    {"downinter", 1, HaproxyVersion::k26},     {"fastinter", 1, HaproxyVersion::k26},
    {"rise", 1, HaproxyVersion::k26},          {"fall", 1, HaproxyVersion::k26},
    {"weight", 1, HaproxyVersion::k26},        {"id", 1, HaproxyVersion::k26},
    {"maxconn", 1, HaproxyVersion::k26},       {"slowstart", 1, HaproxyVersion::k26},
    {"pool-max-conn", 1, HaproxyVersion::k26}, {"pool-purge-delay", 1, HaproxyVersion::k26},
    {"observe", 1, HaproxyVersion::k26},       {"error-limit", 1, HaproxyVersion::k26},
    {"on-error", 1, HaproxyVersion::k26},      {"cookie", 1, HaproxyVersion::k30},
    {"init-state", 1, HaproxyVersion::k34},
};

std::uint32_t number_of(std::string_view text) {
  std::uint32_t out = 0;
  std::from_chars(text.data(), text.data() + text.size(), out);
  return out;
}

void put(std::string& out, std::uint64_t value) {
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof digits, value);
  out.append(digits, static_cast<std::size_t>(end.ptr - digits));
}

}  // namespace

/// A line's words, borrowed.
struct HaproxyProcess::Words {
  explicit Words(std::string_view line) {
    while (!line.empty() && size < words.size()) {
      const std::size_t end = std::min(line.find(' '), line.size());
      if (end > 0) words[size++] = line.substr(0, end);
      line.remove_prefix(std::min(end + 1, line.size()));
    }
  }
  std::string_view operator[](std::size_t i) const { return i < size ? words[i] : std::string_view{}; }
  /// HAProxy reads 64 words and drops the rest without a word.
  std::array<std::string_view, 64> words;
  std::size_t size = 0;
};

ModelServer* ModelPool::find_named(std::string_view server) {
  const auto it = std::find_if(servers.begin(), servers.end(), [&](const ModelServer& s) { return s.name == server; });
  return it == servers.end() ? nullptr : &*it;
}

ModelServer* ModelPool::find(std::string_view server) {
  if (ModelServer* named = find_named(server)) return named;
  ModelServer* best = nullptr;
  const auto rank = [](const ModelServer& s) {
    return s.serves() ? 3 : !s.in_maintenance() ? 2 : s.in_flight() > 0 ? 1 : 0;
  };
  for (ModelServer& s : servers) {
    if (s.label == server && (best == nullptr || rank(s) > rank(*best))) best = &s;
  }
  return best;
}

bool ModelPool::has_slots() const {
  return std::any_of(servers.begin(), servers.end(), [](const ModelServer& s) { return s.is_slot; });
}

HaproxyProcess::HaproxyProcess(HaproxyVersion version, std::uint64_t pid, std::uint64_t start_seconds)
    : version_(version), pid_(pid), start_seconds_(start_seconds) {}

ModelPool& HaproxyProcess::add_pool(const std::string& name, bool takes_dynamic_servers) {
  const auto id = static_cast<std::uint32_t>(kFirstPoolId + pools_.size());
  return pools_.emplace_back(ModelPool{name, id, takes_dynamic_servers, {}});
}

void HaproxyProcess::add_static_server(std::string_view pool, const std::string& name, std::uint16_t port,
                                       std::uint32_t weight) {
  ModelPool& to = *find_pool(pool);
  ModelServer server;
  server.name = name;
  server.address = "127.0.0.1";
  server.port = port;
  server.id = static_cast<std::uint32_t>(to.servers.size() + 1);
  server.is_static = true;
  server.admin = 0;
  server.weight = server.initial_weight = weight;
  server.serial = ++serials_;
  to.servers.push_back(std::move(server));
}

void HaproxyProcess::add_slots(std::string_view pool, std::string_view prefix, std::uint32_t count, bool check) {
  ModelPool& to = *find_pool(pool);
  for (std::uint32_t i = 1; i <= count; ++i) {
    ModelServer server;
    server.name = std::string(prefix) + std::to_string(i);
    server.address = "127.0.0.1";
    server.port = 1;
    server.id = static_cast<std::uint32_t>(to.servers.size() + 1);
    server.is_static = server.is_slot = true;
    server.has_check = server.checks = check;
    server.maintenance_since = Instant{};
    server.serial = ++serials_;
    to.servers.push_back(std::move(server));
  }
}

ModelPool* HaproxyProcess::find_pool(std::string_view name) {
  const auto it = std::find_if(pools_.begin(), pools_.end(), [&](const ModelPool& pool) { return pool.name == name; });
  return it == pools_.end() ? nullptr : &*it;
}

ModelServer* HaproxyProcess::find(std::string_view pool, std::string_view server) {
  ModelPool* in = find_pool(pool);
  return in == nullptr ? nullptr : in->find(server);
}

ModelServer* HaproxyProcess::find(std::uint64_t serial) {
  for (ModelPool& pool : pools_) {
    for (ModelServer& server : pool.servers) {
      if (server.serial == serial) return &server;
    }
  }
  return nullptr;
}

std::string HaproxyProcess::text(std::string_view words, bool one_line_feed_on_26) const {
  std::string out(words);
  if (version_ != HaproxyVersion::k26 || !one_line_feed_on_26) out += '\n';
  return out;
}

std::string HaproxyProcess::execute(Instant now, Hand hand, std::string_view line) {
  const Words words(line);
  if (words[0] == "show" && words[1] == "cli" && words[2] == "level") {
    return permission_denied && hand == Hand::kShoal ? "operator\n" : "admin\n";
  }
  if (words[0] == "show") return show(now, words);
  if (words[0] == "experimental-mode" && words[1] == "on") return "";
  if (permission_denied && hand == Hand::kShoal) return "Permission denied\n";
  if (words[0] == "add" && words[1] == "server" && words.size >= 4) return add(now, hand, words);
  const bool is_known = (words[0] == "enable" && (words[1] == "server" || words[1] == "health")) ||
                        (words[0] == "disable" && words[1] == "server") ||
                        (words[0] == "set" && words[1] == "server") || (words[0] == "del" && words[1] == "server");
  if (!is_known) return "Unknown command, but maybe one of the following ones is a good match:\n";
  const bool is_del = words[0] == "del";
  const std::size_t slash = words[2].find('/');
  if (slash == std::string_view::npos) return text("Require 'backend/server'.", true);
  ModelPool* pool = find_pool(words[2].substr(0, slash));
  if (pool == nullptr) return text("No such backend.", is_del);
  ModelServer* server = pool->find_named(words[2].substr(slash + 1));
  if (server == nullptr) return text("No such server.", is_del);
  if (is_del) return del(now, hand, *pool, *server);
  if (stopping) return "Proxy is disabled.\n";
  const ModelServer before = *server;
  if (server->serves()) server->served_until = now;
  std::string answer;
  if (words[1] == "health") {
    server->checks = server->checks || server->has_check;
    if (!server->has_check) answer = "Health check was not configured on this server, cannot enable.\n";
  } else if (words[0] == "enable") {
    set_admin(now, *server, 0);
  } else if (words[0] == "disable") {
    set_admin(now, *server, kMaint);
  } else {
    answer = set(now, *pool, *server, words);
  }
  if (hand != Hand::kShoal) server->touched_by_operator = now;
  if (watcher != nullptr) watcher->on_change(*this, hand, *pool, &before, server);
  return answer;
}

void HaproxyProcess::set_admin(Instant now, ModelServer& server, std::uint32_t admin) {
  const bool was_out = server.in_maintenance();
  server.admin = admin;
  if (!server.in_maintenance()) {
    if (was_out) server.maintenance_before = server.maintenance_since, server.maintenance_left = now;
    server.maintenance_since = kNever;
  } else if (!was_out) {
    // A moment of drain with weight 0, which empties the pool of idle connections, is no break: no request could come.
    const bool is_break = server.served_until >= server.maintenance_left || now - server.maintenance_left > 1s;
    server.maintenance_since = is_break ? now : server.maintenance_before;
    server.idle = 0;    // The pool is emptied,
    server.queued = 0;  // and who waits is sent elsewhere.
  }
}

std::string HaproxyProcess::set_address(const ModelPool& pool, ModelServer& server, const Words& words) {
  const auto addr = IpAddress::parse(words[4]);
  if (!addr || words[5] != "port")
    return text("Invalid addr '" + std::string(words[4]) + "' by 'stats socket command'", false);
  const std::string address(words[4]);
  const auto port = static_cast<std::uint16_t>(number_of(words[6]));
  std::string said = server.address == address ? std::string("no need to change the addr")
                                               : "IP changed from '" + server.address + "' to '" + address + "'";
  said += server.port == port
              ? std::string(", no need to change the port")
              : ", port changed from '" + std::to_string(server.port) + "' to '" + std::to_string(port) + "'";
  server.address = address;
  server.port = port;
  server.idle = 0;
  if (watcher != nullptr) server.label = watcher->label(pool, server);
  return text(said + " by 'stats socket command'", false);
}

std::string HaproxyProcess::set(Instant now, const ModelPool& pool, ModelServer& server, const Words& words) {
  const std::string_view what = words[3], value = words[4];
  if (what == "addr") return set_address(pool, server, words);
  if (what == "weight") {
    const bool is_percent = !value.empty() && value.back() == '%';
    const std::uint32_t number = number_of(value);
    const std::uint32_t weight = is_percent ? server.initial_weight * number / 100 : number;
    if (weight > 256) return "Absolute weight can only be between 0 and 256 inclusive.\n";
    if (!pool.takes_dynamic_servers && weight != 0 && weight != server.initial_weight) {
      return "Backend is using a static LB algorithm and only accepts weights '0%' and '100%'.\n";
    }
    server.weight = weight;
    return "";
  }
  if (what == "health") {
    if (value != "up" && value != "down") return "'set server <srv> health' expects 'up', 'stopping', or 'down'.\n";
    server.check_down = value == "down";
    return "";
  }
  if (what != "state") return "usage: set server <backend>/<server> addr | agent | agent-addr | ...\n";
  if (value == "ready") {
    set_admin(now, server, 0);
  } else if (value == "drain") {
    set_admin(now, server, kDrain);
  } else if (value == "maint") {
    set_admin(now, server, kMaint);
  } else {
    return "'set server <srv> state' expects 'ready', 'drain' and 'maint'.\n";
  }
  return "";
}

std::string HaproxyProcess::add(Instant now, Hand hand, const Words& words) {
  const std::size_t slash = words[2].find('/');
  if (slash == std::string_view::npos) return text("Require 'backend/server'.", true);
  ModelPool* pool = find_pool(words[2].substr(0, slash));
  if (pool == nullptr) return text("No such backend.", true);
  if (!pool->takes_dynamic_servers) {
    if (version_ == HaproxyVersion::k26) {
      return "Backend must use a dynamic load balancing to support dynamic servers.";
    }
    return "Backend does not support dynamic servers : backend '" + pool->name +
           "' uses a non dynamic load balancing method.\n";
  }
  ModelServer server;
  server.name = words[2].substr(slash + 1);
  if (pool->find_named(server.name) != nullptr) return "Already exists a server with the same name in backend.\n";
  const std::size_t colon = std::min(words[3].rfind(':'), words[3].size() - 1);
  server.address = words[3].substr(0, colon);
  if (server.address.size() > 2 && server.address.front() == '[') {
    server.address = server.address.substr(1, server.address.size() - 2);
  }
  server.port = static_cast<std::uint16_t>(number_of(words[3].substr(colon + 1)));
  for (std::size_t i = 4; i < words.size; ++i) {
    const std::string word(words[i]);
    const auto known = std::find_if(std::begin(kKeywords), std::end(kKeywords),
                                    [&](const Keyword& keyword) { return keyword.word == word; });
    if (word == "cookie" && version_ < HaproxyVersion::k30) {
      return "'cookie' option is not accepted for dynamic server\n";
    }
    if (known == std::end(kKeywords) || version_ < known->since) return "unknown keyword '" + word + "'.\n";
    if (word == "check") server.has_check = true;
    if (word == "init-state") server.check_down = words[i + 1] == "down";
    if (word == "pool-max-conn") server.has_idle_pool = true;
    if (word == "weight") server.weight = server.initial_weight = number_of(words[i + 1]);
    if (word == "id") server.id = number_of(words[i + 1]), server.has_own_id = true;
    i += known->values;
  }
  const auto has_id = [&](std::uint32_t id) {
    return std::find_if(pool->servers.begin(), pool->servers.end(), [id](const ModelServer& s) { return s.id == id; });
  };
  if (const auto other = has_id(server.id); server.has_own_id && other != pool->servers.end()) {
    return "'id' : custom id " + std::to_string(server.id) + " already used at (null):0 ('server " + other->name +
           "').\n";
  }
  while (server.id == 0 || has_id(server.id) != pool->servers.end()) ++server.id;
  server.maintenance_since = now;
  if (hand != Hand::kShoal) server.touched_by_operator = now;
  server.serial = ++serials_;
  pool->servers.push_back(std::move(server));
  if (watcher != nullptr) watcher->on_change(*this, hand, *pool, nullptr, &pool->servers.back());
  return "New server registered.\n";
}

std::string HaproxyProcess::del(Instant now, Hand hand, ModelPool& pool, ModelServer& server) {
  static_cast<void>(now);
  if ((server.admin & kMaint) == 0) return text("Only servers in maintenance mode can be deleted.", true);
  const bool idle_blocks = version_ != HaproxyVersion::k30;  // 3.0 to 3.2 close them themselves.
  if (server.in_flight() > 0 || (idle_blocks && server.idle > 0)) {
    return text("Server still has connections attached to it, cannot remove it.", true);
  }
  const ModelServer before = server;
  const auto at = std::find_if(pool.servers.begin(), pool.servers.end(),
                               [&](const ModelServer& s) { return s.serial == before.serial; });
  pool.servers.erase(at);
  if (watcher != nullptr) watcher->on_change(*this, hand, pool, &before, nullptr);
  return text("Server deleted.", true);
}

std::string HaproxyProcess::show(Instant now, const Words& words) {
  static_cast<void>(now);
  if (words[1] == "info") return show_info();
  if (words[1] == "cli" && words[2] == "level") return permission_denied ? "operator\n" : "admin\n";
  if (words[1] == "backend") {
    std::string out = "# name\n";
    for (const ModelPool& pool : pools_) out += pool.name + "\n";
    return out;
  }
  if (words[1] == "servers" && words[2] == "state") {
    if (words.size > 3 && find_pool(words[3]) == nullptr) return "Can't find backend.\n";
    return show_state(words[3]);
  }
  if (words[1] == "stat" && words.size == 5 && words[3] == "4") return show_stat(words);
  return "Unknown command, but maybe one of the following ones is a good match:\n";
}

std::string HaproxyProcess::show_info() const {
  std::string out = "Name: HAProxy\nVersion: ";
  switch (version_) {
    case HaproxyVersion::k26: out += "2.6.12-1+deb12u4\n"; break;
    case HaproxyVersion::k30: out += "3.0.0-7a59afa93\n"; break;
    case HaproxyVersion::k34: out += "3.4.0-0ff5f5a2a\n"; break;
  }
  out += kInfoBeforePid;
  out += "Pid: ";
  put(out, pid_);
  out += '\n';
  out += kInfoAfterPid;
  out += "CurrConns: ";
  put(out, connections);
  out += '\n';
  out += kInfoAfterConnections;
  out += stopping ? "Stopping: 1\n" : "Stopping: 0\n";
  out += kInfoAfterStopping;
  out += "Start_time_sec: ";
  put(out, start_seconds_);
  return out += "\nTainted: 0\n";
}

std::string HaproxyProcess::show_state(std::string_view only_pool) const {
  std::string out(kStateHead);
  for (const ModelPool& pool : pools_) {
    if (!only_pool.empty() && pool.name != only_pool) continue;
    for (const ModelServer& s : pool.servers) {
      put(out, pool.id);
      out += " " + pool.name + " ";
      put(out, s.id);
      out += " " + s.name + " " + s.address + " ";
      const std::uint32_t admin = s.admin | (s.is_slot ? kConfigured : 0);
      for (const std::uint32_t value : {s.op_state(), admin, s.weight, s.initial_weight}) put(out, value), out += ' ';
      out += "9 1 ";  // Seconds since the last change, and a check status that says nothing.
      const bool runs = s.is_static || (s.checks && s.op_state() == 2);
      out += runs ? "0 2 " : "0 0 ";
      out += !s.has_check ? "0" : !s.checks ? "2" : s.in_maintenance() ? "14" : "6";
      out += s.has_own_id ? " 0 0 1 - " : " 0 0 0 - ";
      put(out, s.port);
      out += " - 0 0 - - 0\n";
    }
  }
  return out;
}

std::string HaproxyProcess::show_stat(const Words& words) const {
  const auto pool = std::find_if(pools_.begin(), pools_.end(), [&](const ModelPool& p) { return p.name == words[2]; });
  if (pool == pools_.end()) return "No such proxy.\n";
  std::string out(kStatHead);
  if (version_ == HaproxyVersion::k34) out += "priv_idle_cur,";
  out += '\n';
  for (const ModelServer& s : pool->servers) {
    if (s.id != number_of(words[4])) continue;
    const auto add = [&out](std::string_view text) { (out += text) += ','; };
    const auto add_number = [&out](std::uint64_t value) { put(out, value), out += ','; };
    add(pool->name), add(s.name), add_number(s.queued), add("0"), add_number(s.sessions);
    out += "9,,0,0,0,,0,,0,0,0,0,";
    add(s.in_maintenance() ? "MAINT" : s.admin != 0 ? "DRAIN" : s.check_down ? "DOWN" : s.checks ? "UP" : "no check");
    add_number(s.weight);
    out += "1,0,,,9,,,1,";
    add_number(pool->id), add_number(s.id);
    out += ",0,,2,0,,0,,,,0,0,0,0,0,0,,,,0,0,0,,,,,0,,,0,0,0,0,,,,,,,,,,,,";
    out += (s.address.find(':') == std::string::npos ? s.address : "[" + s.address + "]") + ":";
    add_number(s.port);
    out += ",http,,,,,,,,0,0,0,,,0,,0,0,0,0,0,";
    add_number(s.idle), add("0"), add_number(s.sessions);
    out += "0,0,,,,0,0,0,0,,,,,,,,,,,,,,,,,,,,,,";
    if (version_ == HaproxyVersion::k34) out += "0,";
    out += '\n';
  }
  return out;
}

}  // namespace shoal::test
