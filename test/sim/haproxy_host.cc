#include "sim/haproxy_host.h"

#include <algorithm>

namespace shoal::test {
namespace {

constexpr std::uint64_t kStartOfTime = 1'795'235'379;  // Unix seconds at the timeline's zero.
constexpr std::uint32_t kIdleMost = 3;

}  // namespace

HaproxyHost::HaproxyHost(Timeline& timeline, Rng rng, const HostOptions& options, HostClient& client,
                         HaproxyWatcher& watcher)
    : timeline_(timeline), rng_(rng), options_(options), client_(client), watcher_(watcher) {}

// ---- the process

void HaproxyHost::start() {
  if (live_ != nullptr) return;
  pids_ += 1 + rng_.below(std::uint64_t{20});
  const auto seconds = static_cast<std::uint64_t>(to_ms(timeline_.now() - Instant{}) / 1000);
  auto running = std::make_unique<Running>();
  running->process = std::make_unique<HaproxyProcess>(options_.version, pids_, kStartOfTime + seconds);
  running->process->permission_denied = denied_;
  options_.configure(*running->process);
  running->process->watcher = &watcher_;
  live_ = running.get();
  processes_.push_back(std::move(running));
}

void HaproxyHost::kill() {
  if (live_ == nullptr) return;
  if (on_process_end) on_process_end(*live_->process);
  Running* dead = live_;
  live_ = nullptr;
  end(*dead);
}

void HaproxyHost::reload() {
  if (live_ == nullptr) return;
  if (on_process_end) on_process_end(*live_->process);
  Running* old = live_;
  old->process->stopping = true;
  live_ = nullptr;
  start();
  timeline_.after(options_.hard_stop_after, [this, pid = old->process->pid()] {
    if (Running* still = running_of(pid)) end(*still);
  });
  end_if_idle(*old);
}

void HaproxyHost::end(Running& running) {
  std::vector<std::uint64_t> connected;
  for (const auto& [id, connection] : connections_) {
    if (connection.to == &running) connected.push_back(id);
  }
  for (const std::uint64_t id : connected) break_off(id);
  for (auto it = requests_.begin(); it != requests_.end();) it = it->second.at == &running ? requests_.erase(it) : ++it;
  if (live_ == &running) live_ = nullptr;
  processes_.erase(
      std::find_if(processes_.begin(), processes_.end(), [&](const auto& p) { return p.get() == &running; }));
}

/// An old process goes when nothing holds it; an open runtime connection does.
void HaproxyHost::end_if_idle(Running& running) {
  if (!running.process->stopping || running.in_flight > 0) return;
  const bool is_held = std::any_of(connections_.begin(), connections_.end(), [&](const auto& entry) {
    return entry.second.to == &running && entry.second.client_here;
  });
  if (!is_held) end(running);
}

void HaproxyHost::wedge(Duration for_so_long) {
  if (live_ == nullptr) return;
  Running* running = live_;
  running->wedged = true;
  timeline_.after(for_so_long,
                  [this, pid = running->process->pid(), number = ++running->wedges] { unwedge(pid, number); });
}

void HaproxyHost::unwedge(std::uint64_t pid, std::uint32_t wedge) {
  Running* running = running_of(pid);
  if (running == nullptr || running->wedges != wedge) return;
  running->wedged = false;
  std::vector<std::uint64_t> waiting;  // The oldest first: what was written before is read before.
  for (const auto& [id, connection] : connections_) {
    if (connection.to == running && connection.served) waiting.push_back(id);
  }
  for (const std::uint64_t id : waiting) work(id);
}

void HaproxyHost::take_slots(Duration for_so_long) {
  ++slots_taken_;
  timeline_.after(for_so_long, [this] {
    --slots_taken_;
    for (std::size_t i = 0; i < processes_.size(); ++i) serve_waiting(*processes_[i]);
  });
}

void HaproxyHost::break_connections() {
  std::vector<std::uint64_t> open;
  for (const auto& [id, connection] : connections_) {
    if (connection.client_here && connection.to != nullptr && rng_.one_in(2)) open.push_back(id);
  }
  for (const std::uint64_t id : open) break_off(id);
}

void HaproxyHost::deny(bool denied) {
  denied_ = denied;
  for (const auto& running : processes_) running->process->permission_denied = denied;
}

std::string HaproxyHost::by_hand(Hand hand, std::string_view line) {
  return live_ == nullptr ? "" : live_->process->execute(timeline_.now(), hand, line);
}

// ---- the socket

HaproxyHost::Running* HaproxyHost::running_of(std::uint64_t pid) {
  for (const auto& running : processes_) {
    if (running->process->pid() == pid) return running.get();
  }
  return nullptr;
}

HaproxyHost::Connection* HaproxyHost::find(std::uint64_t connection) {
  const auto it = connections_.find(connection);
  return it == connections_.end() ? nullptr : &it->second;
}

HaproxyProcess* HaproxyHost::process_of(std::uint64_t connection) const {
  const auto it = connections_.find(connection);
  return it == connections_.end() || it->second.to == nullptr ? nullptr : it->second.to->process.get();
}

std::uint64_t HaproxyHost::connect() {
  const std::uint64_t id = ++connections_made_;
  connections_.emplace(id, Connection{});
  timeline_.after(latency(), [this, id] { establish(id); });
  return id;
}

void HaproxyHost::establish(std::uint64_t id) {
  Connection* connection = find(id);
  if (connection == nullptr || !connection->client_here) return;
  if (live_ == nullptr) {
    connections_.erase(id);
    return client_.on_connect_failed(id);
  }
  connection->to = live_;
  serve(id);
  client_.on_connected(id);
}

void HaproxyHost::serve(std::uint64_t id) {
  Connection* connection = find(id);
  if (connection->served || slots_taken_ > 0 || connection->to->cli_open >= options_.cli_max) return;
  connection->served = true;
  ++connection->to->cli_open;
}

void HaproxyHost::serve_waiting(Running& running) {
  std::vector<std::uint64_t> waiting;
  for (const auto& [id, connection] : connections_) {
    if (connection.to == &running && !connection.served) waiting.push_back(id);
  }
  for (const std::uint64_t id : waiting) {
    if (find(id) == nullptr) continue;
    serve(id);
    work(id);
  }
}

void HaproxyHost::free_slot(Connection& connection) {
  if (!connection.served) return;
  connection.served = false;
  --connection.to->cli_open;
  timeline_.after(1us, [this, pid = connection.to->process->pid()] {
    if (Running* running = running_of(pid)) serve_waiting(*running);
  });
}

void HaproxyHost::write(std::uint64_t id, std::string_view bytes) {
  Connection* connection = find(id);
  if (connection == nullptr || !connection->client_here) return;
  connection->in_pieces.emplace_back(bytes);
  connection->last_in = std::max(connection->last_in, timeline_.now() + latency());
  timeline_.at(connection->last_in, [this, id] { arrive(id); });
}

void HaproxyHost::arrive(std::uint64_t id) {
  Connection* connection = find(id);
  if (connection == nullptr || connection->in_pieces.empty()) return;
  connection->input += connection->in_pieces.front();
  connection->in_pieces.pop_front();
  work(id);
}

/// Carries out the whole lines that have come.
void HaproxyHost::work(std::uint64_t id) {
  Connection* connection = find(id);
  if (connection == nullptr || connection->to == nullptr || !connection->served || connection->to->wedged) return;
  Running& running = *connection->to;
  std::string answer;
  bool is_over = !connection->client_here;
  std::size_t taken = 0;
  for (std::size_t end; (end = connection->input.find('\n', taken)) != std::string::npos;) {
    const std::string_view line = std::string_view(connection->input).substr(taken, end - taken);
    taken = end + 1;
    if (line == "prompt") {
      connection->interactive = true;
      answer += "\n> ";
      continue;
    }
    answer += running.process->execute(timeline_.now(), Hand::kShoal, line);
    answer += connection->interactive ? "\n> " : "\n";
    if (!connection->interactive) is_over = true;
  }
  connection->input.erase(0, taken);
  if (connection->client_here && !answer.empty()) send(id, answer);
  connection = find(id);
  if (connection == nullptr || !is_over) return;
  if (connection->client_here) {  // Without a prompt one answer is all; the close follows it.
    free_slot(*connection);
    timeline_.at(connection->last_out + latency(), [this, id] { break_off(id); });
    return;
  }
  free_slot(*connection);
  connections_.erase(id);
  end_if_idle(running);
}

void HaproxyHost::send(std::uint64_t id, const std::string& bytes) {
  Connection& connection = *find(id);
  Instant when = std::max(connection.last_out, timeline_.now() + latency());
  if (rng_.chance_ppm(options_.late_ppm)) when += rng_.below(options_.late_max);
  std::size_t pieces = 1;
  if (rng_.chance_ppm(options_.cut_ppm)) {
    pieces = bytes.size() <= 64 && rng_.one_in(4) ? bytes.size() : 2 + rng_.below(std::uint64_t{4});
  }
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t left = bytes.size() - at;
    const std::size_t size = pieces <= 1 ? left : pieces >= left ? 1 : 1 + rng_.below(std::uint64_t{left});
    if (pieces > 1) --pieces;
    connection.out_pieces.push_back(bytes.substr(at, size));
    at += size;
    timeline_.at(when, [this, id] { deliver(id); });
    if (at < bytes.size()) when += rng_.below(options_.latency_max);
  }
  connection.last_out = when;
  if (rng_.chance_ppm(options_.break_ppm)) {
    timeline_.at(timeline_.now() + rng_.below(2 * options_.latency_max), [this, id] { break_off(id); });
  }
}

void HaproxyHost::deliver(std::uint64_t id) {
  Connection* connection = find(id);
  if (connection == nullptr || !connection->client_here || connection->out_pieces.empty()) return;
  const std::string piece = std::move(connection->out_pieces.front());
  connection->out_pieces.pop_front();
  client_.on_bytes(id, piece);
}

/// The end as the client sees it: some of what was under way still comes, the rest never.
void HaproxyHost::break_off(std::uint64_t id) {
  Connection* connection = find(id);
  if (connection == nullptr) return;
  const std::uint64_t pid = connection->to == nullptr ? 0 : connection->to->process->pid();
  if (pid != 0) free_slot(*connection);
  connection->to = nullptr;
  std::string left;
  for (const std::string& piece : connection->out_pieces) left += piece;
  connection->out_pieces.clear();
  connection->in_pieces.clear();
  left.resize(rng_.below(std::uint64_t{left.size() + 1}));
  if (!connection->client_here) {
    connections_.erase(id);
  } else {
    timeline_.after(latency(), [this, id, left] {
      const Connection* here = find(id);
      if (here == nullptr || !here->client_here) return;
      if (!left.empty()) client_.on_bytes(id, left);
      here = find(id);
      if (here == nullptr || !here->client_here) return;
      connections_.erase(id);
      client_.on_closed(id);
    });
  }
  if (pid == 0) return;
  timeline_.after(1us, [this, pid] {
    if (Running* left_alone = running_of(pid)) end_if_idle(*left_alone);
  });
}

void HaproxyHost::close(std::uint64_t id) {
  Connection* connection = find(id);
  if (connection == nullptr || !connection->client_here) return;
  connection->client_here = false;
  connection->out_pieces.clear();
  Running* running = connection->to;
  if (running == nullptr) {
    connections_.erase(id);
    return;
  }
  for (const std::string& piece : connection->in_pieces) connection->input += piece;
  connection->in_pieces.clear();
  // What the kernel holds is read after all, or it is not. While HAProxy is stuck nobody can tell yet.
  if (running->wedged && rng_.one_in(2)) return;
  if (rng_.one_in(2)) connection->input.clear();
  if (connection->served && !running->wedged) return work(id);
  free_slot(*connection);
  connections_.erase(id);
  end_if_idle(*running);
}

// ---- requests

void HaproxyHost::run_requests() {
  if (runs_requests_) return;
  runs_requests_ = true;
  next_request();
}

void HaproxyHost::next_request() {
  timeline_.after(rng_.below(2 * options_.request_gap), [this] {
    begin_request();
    next_request();
  });
}

void HaproxyHost::begin_request() {
  if (live_ == nullptr) return;
  auto& pools = live_->process->pools();
  ModelPool& pool = pools[rng_.below(std::uint64_t{pools.size()})];
  const auto serving =
      std::count_if(pool.servers.begin(), pool.servers.end(), [](const auto& s) { return s.serves(); });
  std::uint64_t at = rng_.below(static_cast<std::uint64_t>(serving));
  if (serving == 0) return;
  for (ModelServer& server : pool.servers) {
    if (!server.serves() || at-- > 0) continue;
    ++requests;
    const bool queued = rng_.one_in(16);
    ++(queued ? server.queued : server.sessions);
    ++live_->in_flight;
    requests_.emplace(requests, Request{live_, server.serial, queued, server.address, server.port});
    if (on_request) on_request(*live_->process, pool, server);
    const std::uint64_t kind = rng_.below(std::uint64_t{20});
    const Duration longest = kind < 14 ? Duration(100ms) : kind < 19 ? Duration(2s) : options_.request_longest;
    timeline_.after(2ms + rng_.below(longest), [this, id = requests] { end_request(id); });
    return;
  }
}

void HaproxyHost::end_request(std::uint64_t id) {
  const auto it = requests_.find(id);
  if (it == requests_.end()) return;
  const Request request = it->second;
  requests_.erase(it);
  --request.at->in_flight;
  if (ModelServer* server = request.at->process->find(request.server)) {
    std::uint32_t& count = request.queued ? server->queued : server->sessions;
    if (count > 0) --count;  // Who was queued was sent elsewhere at the maintenance.
    // 2.6 keeps the connection even when the maintenance has begun meanwhile.
    const bool keeps = options_.version == HaproxyVersion::k26 || !server->in_maintenance();
    if (keeps && !request.queued && server->has_idle_pool && server->idle < kIdleMost &&
        !request.at->process->stopping) {
      ++server->idle;
      const std::uint64_t pid = request.at->process->pid();
      timeline_.after(1s + rng_.below(Duration(20s)), [this, pid, serial = request.server] {
        Running* still = running_of(pid);
        ModelServer* kept = still == nullptr ? nullptr : still->process->find(serial);
        if (kept != nullptr && kept->idle > 0) --kept->idle;
      });
    }
  }
  end_if_idle(*request.at);
}

void HaproxyHost::end_requests(std::string_view address, std::uint16_t port) {
  std::vector<std::uint64_t> ended;
  for (const auto& [id, request] : requests_) {
    if (request.port == port && request.address == address) ended.push_back(id);
  }
  for (const std::uint64_t id : ended) end_request(id);
}

}  // namespace shoal::test
