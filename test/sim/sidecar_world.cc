#include "sim/sidecar_world.h"

#include <algorithm>
#include <utility>

namespace shoal::test {
namespace {

constexpr std::uint64_t kStepsMax = 5'000'000;

}  // namespace

World::World(const WorldOptions& options)
    : options_(options),
      rng_(mix64(options.seed)),
      outbox_(new sidecar::Outbox(options.hosts.size(), options.core.session)) {
  for (std::size_t i = 0; i < options_.hosts.size(); ++i) {
    links_.push_back(std::make_unique<Link>(*this, i));
    hosts_.push_back(std::make_unique<HaproxyHost>(timeline_, rng_.fork(), options_.hosts[i], *links_[i], *links_[i]));
    hosts_[i]->on_request = [this, i](HaproxyProcess& process, const ModelPool& pool, const ModelServer& server) {
      for (WorldObserver* observer : observers_) observer->on_request(*this, i, process, pool, server);
    };
  }
  for (std::size_t i = 0; i < hosts_.size(); ++i) {
    hosts_[i]->on_process_end = [this, i](HaproxyProcess& process) {
      for (WorldObserver* observer : observers_) observer->on_process_end(*this, i, process);
    };
  }
  nodes_.resize(options_.nodes_max);
  told_.resize(options_.nodes_max);
  for (std::size_t i = 0; i < nodes_.size(); ++i) nodes_[i].name = "t" + std::to_string(i);
  timeline_.after(1s, [this] { every_second(); });
}

World::~World() = default;

void World::fail(std::string what) {
  if (failed()) return;
  failure_ = std::move(what) + " (at " + std::to_string(to_ms(now() - Instant{})) + " ms)";
}

void World::note(std::uint64_t what, std::string_view bytes) {
  digest_ = hash64(as_bytes(bytes), digest_ ^ what ^ static_cast<std::uint64_t>((now() - Instant{}).count()));
}

// ---- time

void World::run_for(Duration span) {
  const Instant end = now() + span;
  while (!failed()) {
    const Instant wake = core_ && !sidecar_paused() ? core_->next_deadline() : kNever;
    const Instant next = earlier(wake, timeline_.next());
    if (next > end) break;
    if (++steps_ > kStepsMax) return fail("the run does not come to an end: something goes round in circles");
    if (timeline_.next() <= wake) {
      timeline_.run_next();
      continue;
    }
    timeline_.pass_to(std::max(now(), wake));
    drive({nullptr, [](sidecar::Core& core, Instant at, sidecar::Outbox& out) { core.on_deadline(at, out); }});
    if (core_ && core_->next_deadline() <= now()) {
      // An input at this very instant may follow; a second deadline at once may not.
      if (timeline_.next() > now()) timeline_.pass_to(now() + 1us);
    }
  }
  if (!failed()) timeline_.pass_to(end);
}

void World::every_second() {
  for (std::size_t i = 0; i < hosts_.size(); ++i) {
    HaproxyProcess* live = hosts_[i]->live();
    if (live == nullptr) continue;
    for (ModelPool& pool : live->pools()) {
      for (ModelServer& server : pool.servers) {  // HAProxy's own checks.
        if (!server.checks || server.in_maintenance()) continue;
        const auto addr = IpAddress::parse(server.address);
        server.check_down = !addr || !answers(Endpoint{*addr, server.port});
      }
    }
  }
  for (WorldObserver* observer : observers_) observer->on_second(*this);
  timeline_.after(1s, [this] { every_second(); });
}

// ---- the sidecar

void World::start_sidecar() {
  if (core_) return;
  ++life_;
  core_ = std::make_unique<sidecar::Core>(options_.core, rng_.fork(), now());
  started_ = now();
  ready_told_ = kNever;
  for (std::size_t i = 0; i < told_.size(); ++i) {
    told_[i] = Told{};
    note_told(i);
  }
  meet_everybody();
}

void World::meet_everybody() {
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    if (!nodes_[i].is_member) continue;
    const Duration met = rng_.below(options_.member_first_max);
    tell_member(i, met);
    if (nodes_[i].start != Node::kNoStart && starts_[nodes_[i].start].task_lives) {
      tell_word(nodes_[i].start, rng_.below(options_.word_first_max), true);
    }
  }
  timeline_.after(rng_.below(options_.ready_after_max), [this, life = life_] {
    if (life != life_ || !core_) return;
    give({[this] { ready_told_ = now(); },
          [](sidecar::Core& core, Instant at, sidecar::Outbox& out) { core.on_cluster_ready(at, out); }});
  });
}

void World::kill_sidecar() {
  if (!core_) return;
  core_.reset();
  outbox_->clear();
  while_paused_.clear();
  paused_until_ = now();
  for (std::size_t i = 0; i < links_.size(); ++i) {
    for (std::uint64_t& connection : links_[i]->connections) {
      if (connection != 0) hosts_[i]->close(connection);
      connection = 0;
    }
  }
}

void World::pause_sidecar(Duration for_so_long) {
  if (!core_ || sidecar_paused()) return;
  paused_until_ = now() + for_so_long;
  timeline_.at(paused_until_, [this, life = life_] {
    if (life != life_ || !core_) return;
    paused_until_ = now();
    std::vector<Input> waiting;
    waiting.swap(while_paused_);
    for (const Input& input : waiting) drive(input);
  });
}

void World::give(Input input) {
  if (!core_) return;
  if (sidecar_paused()) return while_paused_.push_back(std::move(input));
  drive(input);
}

void World::drive(const Input& input) {
  if (!core_) return;
  const std::uint64_t batches = core_->counts().batches;
  if (input.note) input.note();
  {
    const Counting counting;
    const std::uint64_t before = allocations();
    input.core(*core_, now(), *outbox_);
    core_allocations += allocations() - before;
  }
  if (core_->counts().batches != batches) batch_began_ = now();
  drain();
}

void World::drain() {
  for (const sidecar::Verify& wanted : outbox_->verifies) verify(wanted);
  for (std::size_t i = 0; i < hosts_.size(); ++i) {
    if (!outbox_->session(i).events.empty()) fail("the session's events are left to the shell");
    haproxy::SessionOutbox& out = outbox_->session(i);
    auto& connections = links_[i]->connections;
    for (std::size_t s = 0; s < haproxy::kStreams; ++s) {
      if (!out.wants_close(static_cast<haproxy::Stream>(s)) || connections[s] == 0) continue;
      hosts_[i]->close(connections[s]);
      connections[s] = 0;
    }
    if (const auto to = out.hands_over()) hand_over(i, static_cast<std::size_t>(*to));
    for (std::size_t s = 0; s < haproxy::kStreams; ++s) carry_out(i, static_cast<haproxy::Stream>(s));
  }
  take_events();
  outbox_->clear();
}

/// The main connection goes on as another stream.
void World::hand_over(std::size_t host, std::size_t stream) {
  auto& connections = links_[host]->connections;
  if (connections[stream] != 0) fail("a connection is handed over to a stream that is open");
  connections[stream] = std::exchange(connections[0], 0);
  if (connections[stream] != 0) return;
  timeline_.after(1us, [this, host, stream, life = life_] {  // It had broken already.
    if (life != life_) return;
    give({nullptr, [host, stream](sidecar::Core& core, Instant at, sidecar::Outbox& out) {
            core.on_closed(at, host, static_cast<haproxy::Stream>(stream), out);
          }});
  });
}

void World::carry_out(std::size_t host, haproxy::Stream stream) {
  haproxy::SessionOutbox& out = outbox_->session(host);
  std::uint64_t& connection = links_[host]->connections[static_cast<std::size_t>(stream)];
  if (out.wants_connect(stream)) {
    if (connection != 0) fail("a connect on a stream that is open");
    connection = hosts_[host]->connect();
    note(1, "connect");
  }
  const std::string_view bytes = as_text(out.to_write(stream));
  if (bytes.empty()) return;
  note(2, bytes);
  if (connection == 0) return fail("bytes for a stream that is closed");
  if (bytes.back() != '\n') fail("a line is written in parts");
  for (std::size_t at = 0; at < bytes.size() && !failed();) {
    const std::size_t end = std::min(bytes.find('\n', at), bytes.size());
    ++lines_;
    const std::string_view line = bytes.substr(at, end - at);
    for (WorldObserver* observer : observers_) observer->on_line(*this, host, stream, line);
    if (after_line) after_line(host, line);
    at = end + 1;
  }
  hosts_[host]->write(connection, bytes);
}

void World::say_as_core(std::size_t host, const std::string& line) {
  for (WorldObserver* observer : observers_) observer->on_line(*this, host, haproxy::Stream::kMain, line);
  if (HaproxyProcess* live = hosts_[host]->live()) static_cast<void>(live->execute(now(), Hand::kShoal, line));
}

void World::verify(const sidecar::Verify& wanted) {
  if (rng_.chance_ppm(options_.verify_lost_ppm)) return;
  const bool is_wrong = rng_.chance_ppm(options_.verify_wrong_ppm);
  const bool times_out = rng_.one_in(2);
  timeline_.after(rng_.below(Duration(2ms)), [this, wanted, is_wrong, times_out, life = life_] {
    sidecar::VerifyResult result = sidecar::VerifyResult::kConnected;
    Duration later{};
    if (!answers(wanted.place) || is_wrong) {
      const bool silent = is_wrong ? times_out : is_silent(wanted.place);
      result = silent ? sidecar::VerifyResult::kTimedOut : sidecar::VerifyResult::kRefused;
      if (silent) later = wanted.deadline;
    }
    timeline_.after(later, [this, id = wanted.id, result, life] {
      if (life != life_) return;
      note(3, "verify");
      give({nullptr, [id, result](sidecar::Core& core, Instant at, sidecar::Outbox& out) {
              core.on_verify_result(at, id, result, out);
            }});
    });
  });
}

void World::take_events() {
  for (const sidecar::Event& event : outbox_->events) {
    note(4 + static_cast<std::uint64_t>(event.kind), event.server.view());
    for (WorldObserver* observer : observers_) observer->on_core_event(*this, event);
    if (event.kind != sidecar::EventKind::kStandingChanged) continue;
    const auto node = std::find_if(nodes_.begin(), nodes_.end(), [&](const Node& n) { return n.name == event.node; });
    if (node != nodes_.end()) look_at_standing(static_cast<std::size_t>(node - nodes_.begin()));
  }
}

/// What the registrar would answer the task with.
void World::look_at_standing(std::size_t node) {
  const Told& told = told_[node];
  if (told.start == Node::kNoStart || told.start != nodes_[node].start) return;
  Start& start = starts_[told.start];
  if (told.seq != start.seq || told.is_mixed || !start.task_lives || !(told.addr == start.place.addr)) return;
  announce::Standing standing = core_->standing(nodes_[node].name, announce::Generation{start.id, start.seq});
  if (tamper_standing) tamper_standing(told.start, standing);
  if (start.says == announce::TaskState::kReady && standing.in_rotation && !start.accepted) {
    start.accepted = start.ever_accepted = true;
    note(20, start.server);
    for (WorldObserver* observer : observers_) observer->on_accepted(*this, told.start, standing);
  }
  if (start.says == announce::TaskState::kDeparting && standing.drained && !start.drained) {
    start.drained = true;
    note(21, start.server);
    for (WorldObserver* observer : observers_) observer->on_drained(*this, told.start, standing);
    timeline_.after(rng_.below(Duration(50ms)), [this, which = told.start] { stop_task(which); });
  }
}

// ---- the links to HAProxy

void World::Link::give(std::uint64_t connection, bool is_end, StreamInput input) {
  if (std::find(connections.begin(), connections.end(), connection) == connections.end()) return;
  world_.give({nullptr, [this, connection, is_end, input = std::move(input)](sidecar::Core& core, Instant at,
                                                                             sidecar::Outbox& out) {
                 // The core may have closed it while the sidecar was paused, or handed it over.
                 const auto found = std::find(connections.begin(), connections.end(), connection);
                 if (found == connections.end()) return;
                 if (is_end) *found = 0;
                 input(core, at, static_cast<haproxy::Stream>(found - connections.begin()), out);
               }});
}

void World::Link::on_connected(std::uint64_t connection) {
  world_.note(30, "connected");
  give(connection, false,
       [host = host_](sidecar::Core& core, Instant at, haproxy::Stream stream, sidecar::Outbox& out) {
         core.on_connected(at, host, stream, out);
       });
}

void World::Link::on_connect_failed(std::uint64_t connection) {
  world_.note(31, "refused");
  give(connection, true, [host = host_](sidecar::Core& core, Instant at, haproxy::Stream stream, sidecar::Outbox& out) {
    core.on_connect_failed(at, host, stream, "Connection refused", true, out);
  });
}

void World::Link::on_bytes(std::uint64_t connection, std::string_view bytes) {
  std::string read(bytes);
  if (world_.tamper_answers) {
    for (std::size_t s = 0; s < connections.size(); ++s) {
      if (connections[s] == connection) world_.tamper_answers(host_, static_cast<haproxy::Stream>(s), read);
    }
  }
  world_.note(32, read);
  give(connection, false,
       [host = host_, read](sidecar::Core& core, Instant at, haproxy::Stream stream, sidecar::Outbox& out) {
         core.on_bytes(at, host, stream, as_bytes(read), out);
       });
}

void World::Link::on_closed(std::uint64_t connection) {
  world_.note(33, "closed");
  give(connection, true, [host = host_](sidecar::Core& core, Instant at, haproxy::Stream stream, sidecar::Outbox& out) {
    core.on_closed(at, host, stream, out);
  });
}

void World::Link::on_change(HaproxyProcess& process, Hand hand, const ModelPool& pool, const ModelServer* before,
                            const ModelServer* after) {
  for (WorldObserver* observer : world_.observers_) {
    observer->on_change(world_, host_, process, hand, pool, before, after);
  }
}

/// Of the starts at that place in that pool: one that is ready, one that lives, the last.
std::string World::Link::label(const ModelPool& pool, const ModelServer& server) {
  const auto addr = IpAddress::parse(server.address);
  const Start* best = nullptr;
  const auto rank = [](const Start& start) {
    return !start.task_lives ? 0 : start.says == announce::TaskState::kReady ? 2 : 1;
  };
  for (const Start& start : world_.starts_) {
    if (!addr || start.pool != pool.name || !(start.place == Endpoint{*addr, server.port})) continue;
    if (best == nullptr || rank(start) >= rank(*best)) best = &start;
  }
  return best == nullptr ? std::string() : best->server;
}

/// After something has become of a task.
void World::relabel_slots() {
  for (std::size_t i = 0; i < hosts_.size(); ++i) {
    hosts_[i]->each_process([&](HaproxyProcess& process) {
      for (ModelPool& pool : process.pools()) {
        for (ModelServer& server : pool.servers) {
          if (!server.is_slot || server.port <= 1) continue;
          const std::string label = links_[i]->label(pool, server);
          const std::size_t which = start_of(label);
          // Who has moved away, or is dead, has it until somebody else lives there.
          if (server.label.empty() || (which != Node::kNoStart && starts_[which].task_lives)) server.label = label;
        }
      }
    });
  }
}

bool World::is_connected_to(std::size_t host, const HaproxyProcess& process) const {
  return std::any_of(links_[host]->connections.begin(), links_[host]->connections.end(),
                     [&](std::uint64_t id) { return id != 0 && hosts_[host]->process_of(id) == &process; });
}

}  // namespace shoal::test
