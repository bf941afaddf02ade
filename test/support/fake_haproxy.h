// A HAProxy's runtime socket in memory: it executes the commands that shoal sends and answers as 2.6.12 does (texts and
// tables captured from it). It can be wedged, can break off in the middle of an answer, be restarted and be reloaded,
// and it logs every byte that it received. What it does not model it refuses, so that a test cannot pass by luck.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace shoal::test {

class FakeHaproxy {
 public:
  struct Server {
    std::string name;
    std::string addr;  // As `show servers state` prints it: no brackets.
    std::uint16_t port = 0;
    std::uint32_t id = 0;
    unsigned admin = 1;
    bool check_down = false;  // HAProxy's own check has failed.
    unsigned weight = 0;
    bool has_check = false;
    unsigned queued = 0;
    unsigned sessions = 0;
    unsigned idle = 0;
    bool init_down = false;  // `init-state down`: DOWN whenever it is enabled, until its check passes.
  };
  struct Backend {
    bool dynamic_balance = true;
    std::vector<Server> servers;
  };
  struct Process {
    std::uint64_t pid = 0;
    std::uint64_t start = 0;
    bool stopping = false;
    std::string version = "2.6.12-1+deb12u4";
    std::map<std::string, Backend> backends;
    unsigned other_connections = 0;  // Of clients, beside the requests of servers.
  };
  struct Answer {
    std::string bytes;
    bool closed = false;
  };

  FakeHaproxy() { boot({"shoal", "other"}); }

  // ---- what a test does to it
  /// A new process without dynamic servers; open connections end. Nobody is told by this call: ask `alive`.
  void restart() {
    for (auto& [number, connection] : connections_) connection.dead = true;
    boot(pool_names());
  }
  /// As restart, but open connections stay, with the old process, which is stopping.
  void reload(bool says_stopping = true) {
    process_->stopping = says_stopping;
    boot(pool_names());
  }
  void set_version(const std::string& version) { process_->version = version; }
  /// The process before the present one, as far as a test has to do with it.
  Process& old() { return *old_; }
  Server* find_old(std::string_view backend, std::string_view name) { return find_in(*old_, backend, name); }
  /// Open connections to the old process: as long as there is one, it does not end.
  std::size_t connections_to_old() {
    std::size_t n = 0;
    for (const auto& [number, connection] : connections_) n += !connection.dead && connection.process == old_ ? 1 : 0;
    return n;
  }
  /// The old process ends, whatever it was doing.
  void kill_old() {
    for (auto& [number, connection] : connections_) connection.dead = connection.dead || connection.process == old_;
  }
  /// A soft stop for good: nobody listens any more.
  void stop_softly() {
    process_->stopping = true;
    refuses_connections = true;
  }
  void add_backend(const std::string& name, bool dynamic_balance = true) {
    process_->backends[name].dynamic_balance = dynamic_balance;
  }
  Server* find(std::string_view backend, std::string_view name) { return find_in(*process_, backend, name); }
  /// The only server of a backend, or none.
  Server* only(const std::string& backend) {
    auto& servers = process_->backends[backend].servers;
    return servers.size() == 1 ? &servers[0] : nullptr;
  }
  std::size_t count(const std::string& backend) { return process_->backends[backend].servers.size(); }
  Server& put(const std::string& backend, Server server) {
    process_->backends[backend].servers.push_back(std::move(server));
    return process_->backends[backend].servers.back();
  }
  /// Would HAProxy send new requests there?
  static bool serves(const Server& server) { return server.admin == 0 && server.weight > 0 && !server.check_down; }

  /// How many of a backend's servers would get new requests.
  std::size_t serving(const std::string& backend) {
    std::size_t n = 0;
    for (const Server& server : process_->backends[backend].servers) n += serves(server) ? 1 : 0;
    return n;
  }

  bool refuses_connections = false;
  bool wedged = false;   // Reads, answers nothing.
  int break_after = -1;  // Answers so many bytes more in all, then closes.
  bool admin_level = true;
  bool keeps_weights = false;         // Says yes to a weight and keeps its own, as with an agent check.
  std::string received;               // Every byte, of all connections.
  std::vector<std::string> commands;  // Every line but `show ...` and `prompt`.

  // ---- the socket
  int open() {
    connections_[++last_connection_].process = process_;
    return last_connection_;
  }
  bool alive(int number) { return connections_.count(number) == 1 && !connections_[number].dead; }
  void close(int number) { connections_.erase(number); }
  Answer feed(int number, std::string_view bytes) {
    Connection& connection = connections_.at(number);
    received += bytes;
    Answer answer;
    if (wedged) return answer;
    connection.line += bytes;
    for (std::size_t end; (end = connection.line.find('\n')) != std::string::npos;) {
      const std::string line = connection.line.substr(0, end);
      connection.line.erase(0, end + 1);
      if (line == "prompt") {
        connection.interactive = true;
        answer.bytes += "\n> ";
        continue;
      }
      answer.bytes += execute(*connection.process, line);
      if (connection.interactive) answer.bytes += "\n> ";
      if (!connection.interactive) answer.bytes += "\n";
    }
    if (!connection.interactive && !answer.bytes.empty()) answer.closed = true;
    if (break_after >= 0 && answer.bytes.size() >= static_cast<std::size_t>(break_after)) {
      answer.bytes.resize(static_cast<std::size_t>(break_after));
      answer.closed = true;
      break_after = -1;
    }
    if (answer.closed) connection.dead = true;
    return answer;
  }

 private:
  struct Connection {
    std::shared_ptr<Process> process;
    bool interactive = false;
    bool dead = false;
    std::string line;
  };

  void boot(const std::vector<std::string>& pools) {
    auto old = process_;
    old_ = old;
    process_ = std::make_shared<Process>();
    if (old) process_->version = old->version;
    process_->pid = old ? old->pid + 7 : 5542;
    process_->start = old ? old->start + 3 : 1795235379;
    for (const std::string& pool : pools) {
      process_->backends[pool].dynamic_balance = !old || old->backends[pool].dynamic_balance;
    }
  }
  std::vector<std::string> pool_names() const {
    std::vector<std::string> names;
    for (const auto& [name, backend] : process_->backends) names.push_back(name);
    return names;
  }
  static Server* find_in(Process& process, std::string_view backend, std::string_view name) {
    const auto found = process.backends.find(std::string(backend));
    if (found == process.backends.end()) return nullptr;
    for (Server& server : found->second.servers) {
      if (server.name == name) return &server;
    }
    return nullptr;
  }

  std::string execute(Process& process, const std::string& line) {
    std::istringstream stream(line);
    std::vector<std::string> words;
    for (std::string word; stream >> word;) words.push_back(word);
    if (words.empty()) return "Unknown command.\n";
    if (line == "show cli level") return admin_level ? "admin\n" : "operator\n";
    if (words[0] == "show") return show(process, words);
    commands.push_back(line);
    if (!admin_level) return "Permission denied\n";
    if (words.size() >= 4 && words[0] == "add" && words[1] == "server") return add(process, words);
    if (words.size() < 3 || words[1] == "backend") return "Unknown command, but maybe one of ...\n";
    const std::size_t slash = words[2].find('/');
    if (slash == std::string::npos) return "Require 'backend/server'.\n";
    const std::string pool = words[2].substr(0, slash);
    const bool is_delete = words[0] == "del";
    // Answers to `del` end with one line feed, all others with two.
    if (process.backends.count(pool) == 0) return is_delete ? "No such backend." : "No such backend.\n";
    Server* server = find_in(process, pool, words[2].substr(slash + 1));
    if (server == nullptr) return is_delete ? "No such server." : "No such server.\n";
    if (!is_delete && process.stopping) return "Proxy is disabled.\n";
    if (is_delete) return del(process.backends[pool], *server);
    if (words[0] == "enable" && words[1] == "server") {
      if (server->admin != 0) server->check_down = server->init_down;
      server->admin = 0;
      return "";
    }
    if (words[0] == "enable" && words[1] == "health") {
      return server->has_check ? "" : "Health check was not configured on this server, cannot enable.\n";
    }
    if (words[0] == "set" && words[1] == "server" && words.size() == 5) return set(*server, words[3], words[4]);
    return "Unknown command, but maybe one of ...\n";
  }

  static std::string add(Process& process, const std::vector<std::string>& words) {
    const std::size_t slash = words[2].find('/');
    if (slash == std::string::npos) return "Require 'backend/server'.\n";
    const auto backend = process.backends.find(words[2].substr(0, slash));
    if (backend == process.backends.end()) return "No such backend.";
    if (!backend->second.dynamic_balance) {
      return "Backend must use a dynamic load balancing to support dynamic servers.";
    }
    Server server;
    server.name = words[2].substr(slash + 1);
    if (find_in(process, backend->first, server.name) != nullptr) {
      return "Already exists a server with the same name in backend.\n";
    }
    const std::size_t colon = words[3].rfind(':');
    server.addr = words[3].substr(0, colon);
    if (server.addr.front() == '[') server.addr = server.addr.substr(1, server.addr.size() - 2);
    server.port = static_cast<std::uint16_t>(std::atoi(words[3].c_str() + colon + 1));
    server.weight = 1;
    for (std::size_t i = 4; i < words.size(); ++i) {
      if (words[i] == "check") server.has_check = true;
      if (words[i] == "init-state") server.init_down = words[i + 1] == "down";
      if (words[i] == "weight") server.weight = static_cast<unsigned>(std::atoi(words[i + 1].c_str()));
      if (words[i] == "id") server.id = static_cast<std::uint32_t>(std::strtoul(words[i + 1].c_str(), nullptr, 10));
    }
    for (const Server& other : backend->second.servers) {
      if (other.id == server.id) {
        return "'id' : custom id " + std::to_string(server.id) + " already used at (null):0 ('server " + other.name +
               "').\n";
      }
    }
    backend->second.servers.push_back(server);
    return "New server registered.\n";
  }

  static std::string del(Backend& backend, Server& server) {
    if ((server.admin & 1) == 0) return "Only servers in maintenance mode can be deleted.";
    if (server.sessions + server.queued + server.idle > 0) {
      return "Server still has connections attached to it, cannot remove it.";
    }
    backend.servers.erase(backend.servers.begin() + (&server - backend.servers.data()));
    return "Server deleted.";
  }

  std::string set(Server& server, const std::string& what, const std::string& value) {
    if (what == "weight") {
      const int weight = std::atoi(value.c_str());
      if (weight < 0 || weight > 256) return "Absolute weight can only be between 0 and 256 inclusive.\n";
      if (!keeps_weights) server.weight = static_cast<unsigned>(weight);
      return "";
    }
    if (what == "health" && (value == "up" || value == "down")) {
      server.check_down = value == "down";
      return "";
    }
    if (what != "state") return "Unknown command, but maybe one of ...\n";
    if (value == "ready") {
      server.admin = 0;
    } else if (value == "drain") {
      server.admin = 8;
    } else if (value == "maint") {
      if ((server.admin & 1) == 0) server.idle = 0;  // Entering maintenance empties the pool of idle connections.
      server.admin = 1;
    } else {
      return "'set server <srv> state' expects 'ready', 'drain' and 'maint'.\n";
    }
    return "";
  }

  static std::string show(Process& process, const std::vector<std::string>& words) {
    const std::string what = words.size() > 1 ? words[1] : "";
    if (what == "info") {
      unsigned connections = process.other_connections;
      for (const auto& [name, backend] : process.backends) {
        for (const Server& server : backend.servers) connections += server.sessions + server.queued;
      }
      return "Name: HAProxy\nVersion: " + process.version +
             "\nRelease_date: 2026/10/17\nNbthread: 2\nNbproc: 1\n"
             "Process_num: 1\nPid: " +
             std::to_string(process.pid) + "\nUptime: 0d 0h00m00s\nCurrConns: " + std::to_string(connections) +
             "\nnode: vm\nStopping: " + (process.stopping ? "1" : "0") +
             "\nJobs: 4\nUnstoppable Jobs: 0\nStart_time_sec: " + std::to_string(process.start) + "\nTainted: 0\n";
    }
    if (what == "backend") {
      std::string out = "# name\n";
      for (const auto& [name, backend] : process.backends) out += name + "\n";
      return out;
    }
    if (what == "servers" && words.size() >= 3 && words[2] == "state") return show_state(process);
    if (what == "stat" && words.size() == 5) return show_stat(process, words[2], words[4]);
    return "Unknown command, but maybe one of ...\n";
  }

  static std::string show_state(Process& process) {
    std::string out =
        "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight "
        "srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state "
        "bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr "
        "srv_agent_addr srv_agent_port\n";
    int number = 2;
    for (const auto& [name, backend] : process.backends) {
      ++number;
      for (const Server& s : backend.servers) {
        const bool runs = (s.admin & 1) == 0 && !s.check_down;
        out += std::to_string(number) + " " + name + " " + std::to_string(s.id) + " " + s.name + " " + s.addr + " " +
               (runs ? "2 " : "0 ") + std::to_string(s.admin) + " " + std::to_string(s.weight) + " 0 0 1 0 1 " +
               (s.has_check ? "6" : "0") + " 0 0 1 - " + std::to_string(s.port) + " - 0 0 - - 0\n";
      }
    }
    return out;
  }

  static std::string show_stat(Process& process, const std::string& pool, const std::string& id) {
    if (process.backends.count(pool) == 0) return "No such proxy.\n";
    std::string out = "# pxname,svname,qcur,qmax,scur,smax,status,sid,idle_conn_cur,safe_conn_cur,used_conn_cur,\n";
    for (const Server& s : process.backends[pool].servers) {
      if (std::to_string(s.id) != id) continue;
      out += pool + "," + s.name + "," + std::to_string(s.queued) + ",0," + std::to_string(s.sessions) + ",0,MAINT," +
             id + "," + std::to_string(s.idle) + ",0," + std::to_string(s.sessions) + ",\n";
    }
    return out;
  }

  std::shared_ptr<Process> process_;
  std::shared_ptr<Process> old_;
  std::map<int, Connection> connections_;
  int last_connection_ = 0;
};

}  // namespace shoal::test
