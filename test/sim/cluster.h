// A cluster of serf::Node objects on virtual time: the very cores of the program, with serf::Seeds beside each as the
// program has it, and a network in between (network.h). Every choice comes from one seed; the digest over all packets
// and news is equal for equal seeds on every compiler.
//
// Words: a node is a place where a process may run, a number from 0; a life is one process there, from its start to its
// end, with a name and an address, both of which another life may take over. Scenarios drive a cluster from outside
// (start, crash, freeze, run_for, ...), observers watch it and judge (checkers.h).
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/rng.h"
#include "serf/node.h"
#include "serf/seeds.h"
#include "sim/network.h"
#include "support/allocation_counter.h"

namespace shoal::test {

using Tags = std::vector<std::pair<std::string, std::string>>;
[[nodiscard]] std::vector<std::uint8_t> encode_meta(const Tags& tags);

struct ClusterOptions {
  std::uint64_t seed = 1;
  std::size_t nodes = 0;
  swim::Timing timing;
  NetworkOptions network;
  std::size_t members_max = 256;
  Duration keep_interval = 60s;     // Of serf::Seeds.
  bool uneven_clocks = false;       // Each life's clock starts anywhere and runs up to 1 % fast or slow.
  bool timers_before_data = false;  // What a process does first after a pause.
  std::function<void(std::size_t node, serf::NodeOptions&)> adjust;  // The last word on a node's options.
};

/// One process. Times are the cluster's.
struct Life {
  std::size_t node = 0;
  std::string name;
  std::uint32_t address = 0;
  std::vector<std::uint8_t> meta;
  Instant started{};
  Instant ended = kNever;
  Instant leave_asked = kNever;
  bool left = false;            // The leave was finished before the end.
  bool leave_was_calm = false;  // The cluster was calm() when it was asked and when it was done.
};

struct LifeOptions {
  std::string name;
  std::uint32_t address = 0;         // 10.0.0.0 + this, port 7946.
  std::vector<std::uint32_t> seeds;  // Addresses.
  Tags tags;
};

class Cluster;

/// Watches; what it finds wrong it says by Cluster::fail.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void on_datagram(Cluster&, std::size_t /*from*/, const Endpoint& /*to*/, Bytes) {}
  virtual void on_stream_write(Cluster&, std::size_t /*from*/, Bytes) {}
  virtual void on_member_event(Cluster&, std::size_t /*node*/, serf::MemberEventKind, std::string_view /*about*/) {}
  virtual void on_start(Cluster&, std::size_t /*node*/) {}
  /// Once a second: look at whatever is to be compared.
  virtual void on_second(Cluster&) {}
};

class Cluster {
 public:
  /// What a kernel keeps for a process that does not read; a datagram costs its size and kDatagramCost.
  static constexpr std::size_t kBacklogBytesMax = 256 * 1024;
  static constexpr std::size_t kDatagramCost = 256;
  static constexpr std::size_t kAcceptsMax = 128;

  explicit Cluster(const ClusterOptions& options);
  Cluster(std::uint64_t seed, std::size_t nodes, const swim::Timing& timing, const NetworkOptions& network = {});
  ~Cluster();

  [[nodiscard]] std::size_t size() const { return nodes_.size(); }
  [[nodiscard]] Instant now() const { return now_; }
  [[nodiscard]] std::uint64_t seed() const { return options_.seed; }
  [[nodiscard]] std::uint64_t digest() const { return digest_; }
  [[nodiscard]] const ClusterOptions& options() const { return options_; }
  [[nodiscard]] static std::string name(std::size_t node) { return "node-" + std::to_string(node); }
  [[nodiscard]] static Endpoint address(std::uint32_t number);
  [[nodiscard]] Endpoint endpoint(std::size_t node) const { return address(static_cast<std::uint32_t>(node)); }

  // What happens to nodes.
  /// Name and address by number; `seed_node` itself = no seed.
  void start(std::size_t node, std::size_t seed_node, const Tags& tags = {});
  void start(std::size_t node, const LifeOptions& life);
  /// Starts the first `count` nodes, without seeds, in a cluster that has met: each has been told of all by one
  /// push/pull through its own inputs. What that makes them say and send is not counted, seen or mixed; their queues
  /// are full of it. REQUIRES: none of them is started, no encryption.
  void start_met(std::size_t count, const Tags& tags = {});
  void crash(std::size_t node);   // Nothing more in or out; its state is lost.
  void freeze(std::size_t node);  // Nothing runs; what comes waits in the kernel, as much as it keeps.
  void thaw(std::size_t node);
  /// Its timers go on, but what it sends leaves, and what comes reaches it, only at the end: as in Lifeguard's
  /// experiments.
  void block(std::size_t node);
  void unblock(std::size_t node);
  /// Each datagram is handled so long after the one before it, at the earliest. Zero: as fast as they come.
  void slow(std::size_t node, Duration each);
  void leave(std::size_t node);
  void set_tags(std::size_t node, const Tags& tags);
  /// The node's clock jumps ahead, as after a machine's sleep.
  void skip_clock(std::size_t node, Duration by);

  // What happens to the network: through these, so that the checkers know when a node has been in trouble.
  void cut(std::size_t a, std::size_t b, bool both_ways = true);  // From a to b.
  void cut_sets(const std::vector<std::size_t>& from, const std::vector<std::size_t>& to, bool both_ways);
  void cut_datagrams_only(std::size_t node);  // UDP to and from it is lost, TCP works.
  void lose_at(std::size_t node, std::uint32_t ppm);
  void lose_between(std::size_t from, std::size_t to, std::uint32_t ppm);
  void heal();
  NetworkOptions& network() { return network_.options; }
  [[nodiscard]] const Network& links() const { return network_; }
  /// Chance in a million that a stream breaks with each segment.
  std::uint32_t stream_break_ppm = 0;

  // Time.
  void run_for(Duration d);
  /// Until `done` or the time is over; false in the latter case. Ends early when an observer has found something.
  template <typename Done>
  bool run_until(Duration limit, Done&& done) {
    const Instant end = now_ + limit;
    while (!done()) {
      if (!step(end)) return done();
    }
    return true;
  }
  /// The same for questions that are not cheap: asked every `pause`.
  template <typename Done>
  bool run_until_every(Duration pause, Duration limit, Done&& done) {
    const Instant end = now_ + limit;
    while (!done()) {
      if (now_ >= end || failed()) return false;
      run_for(std::min(pause, end - now_));
    }
    return true;
  }

  // What a node sees.
  [[nodiscard]] bool started(std::size_t node) const { return nodes_[node] != nullptr; }
  [[nodiscard]] bool running(std::size_t node) const { return nodes_[node] && !nodes_[node]->frozen; }
  [[nodiscard]] bool frozen(std::size_t node) const { return nodes_[node] && nodes_[node]->frozen; }
  [[nodiscard]] bool slowed(std::size_t node) const { return nodes_[node] && nodes_[node]->each > Duration{}; }
  [[nodiscard]] serf::Status status(std::size_t viewer, std::string_view of) const;
  [[nodiscard]] serf::Status status(std::size_t viewer, std::size_t of) const { return status(viewer, name(of)); }
  [[nodiscard]] std::string tag(std::size_t viewer, std::size_t of, std::string_view key) const;
  /// Everyone running sees exactly this status of `of`; for kAlive that node included.
  [[nodiscard]] bool all_see(std::size_t of, serf::Status status) const;
  [[nodiscard]] serf::Node& node(std::size_t node) { return *nodes_[node]->core; }
  [[nodiscard]] const serf::Node& node(std::size_t node) const { return *nodes_[node]->core; }

  // History, for checkers.
  [[nodiscard]] const std::vector<Life>& lives() const { return lives_; }
  [[nodiscard]] const Life& life(std::size_t node) const { return lives_[nodes_[node]->life]; }
  /// The latest life of that name; nullptr = nobody was ever called so.
  [[nodiscard]] const Life* life_of(std::string_view name) const;
  /// The last moment at which something was wrong with the node or its links, or changed for the worse; now() while it
  /// still is.
  [[nodiscard]] Instant last_trouble(std::size_t node) const;
  /// Nothing is wrong anywhere, and has not been for half a minute.
  [[nodiscard]] bool calm() const;
  [[nodiscard]] std::uint64_t datagrams_out(std::size_t node) const { return nodes_[node]->datagrams_out; }
  [[nodiscard]] std::uint64_t datagrams_in(std::size_t node) const { return nodes_[node]->datagrams_in; }

  /// Runs a command on a node's core: f(core, its clock, outbox).
  template <typename F>
  void command(std::size_t node, F&& f) {
    f(*nodes_[node]->core, local(node), *outbox_);
    drain(node);
  }
  /// The node's own clock. Never goes back; jumps ahead after a pause.
  [[nodiscard]] Instant local(std::size_t node) const;

  void observe(Observer& observer) { observers_.push_back(&observer); }
  /// The first thing found wrong stays; the run stops.
  void fail(std::string what);
  [[nodiscard]] bool failed() const { return !failure_.empty(); }
  [[nodiscard]] const std::string& failure() const { return failure_; }

  /// For planted faults: may change a datagram; returns how many of it go out. Without one each goes out once.
  std::function<std::uint32_t(std::size_t from, std::vector<std::uint8_t>& datagram)> tamper;
  /// For planted faults: with the next step the node's core is a fresh one, and nobody is told.
  void lose_memory_soon(std::size_t node) { loses_memory_ = node; }

  struct SeenEvent {
    Instant at;
    std::size_t node;
    serf::MemberEventKind kind;
    std::string about;
  };
  struct SeenQuery {
    std::size_t node;
    serf::QueryRef ref;
    std::string name, source, payload;
  };
  struct SeenResponse {
    std::size_t node;
    serf::QueryToken token;
    bool ack;
    std::string from, payload;
  };
  // What has been said so far, while keep_news; a large or long run switches it off and counts.
  bool keep_news = true;
  std::vector<SeenEvent> events;
  std::vector<SeenQuery> queries;
  std::vector<SeenResponse> responses;
  struct SeenUserEvent {
    std::size_t node;
    std::uint64_t ltime;
    std::string name;
  };
  std::vector<SeenUserEvent> user_events;
  std::vector<std::pair<std::size_t, bool>> joins;  // node, ok
  std::set<std::size_t> left;
  std::uint64_t events_count = 0;
  std::uint64_t reaped_count = 0;  // Of them.
  std::size_t packet_bytes_most = 0;
  std::uint64_t packets = 0;
  std::uint64_t packet_bytes = 0;
  std::uint64_t stream_bytes = 0;
  std::uint64_t steps = 0;
  std::uint64_t steps_max = 50'000'000;  // More is a failure: something goes round in circles.
  /// operator new calls inside the cores; counted when the binary has allocation_counter.cc.
  bool count_allocations = false;
  std::uint64_t core_allocations = 0;

 private:
  struct Running {
    std::unique_ptr<serf::Node> core;
    std::optional<serf::Seeds> seeds;
    std::vector<std::uint32_t> seed_addresses;
    std::size_t life = 0;
    std::uint32_t address = 0;
    Duration clock_offset{};
    std::int64_t clock_ppm = 0;
    bool frozen = false;
    bool blocked = false;
    std::vector<std::pair<Endpoint, std::vector<std::uint8_t>>> unsent;  // While blocked.
    std::size_t unsent_bytes = 0;
    Duration each{};  // Time for one datagram.
    Instant busy_until{};
    Instant stranger_after{};
    std::deque<std::pair<std::uint32_t, std::vector<std::uint8_t>>> backlog;  // From, bytes.
    std::size_t backlog_bytes = 0;
    std::map<swim::StreamId, std::pair<std::uint32_t, std::uint8_t>> streams;  // Own id -> stream, side.
    std::set<std::pair<std::uint32_t, std::uint8_t>> held;                     // Stream ends with something to read.
    Instant scheduled = kNever;
    std::uint64_t datagrams_out = 0, datagrams_in = 0;
  };
  enum class Kind : std::uint8_t { kDatagram, kServe, kSyn, kSegment, kResend, kEnded, kStranger };
  struct Event {
    Kind kind = Kind::kDatagram;
    std::uint8_t side = 0;
    std::size_t to = 0;
    std::size_t life = 0;    // Of `to`.
    std::uint32_t from = 0;  // An address.
    std::uint32_t stream = 0;
    std::vector<std::uint8_t> bytes;
  };
  struct Due {
    Instant at;
    std::uint64_t order;
    std::uint32_t event;
    bool operator>(const Due& other) const { return at != other.at ? at > other.at : order > other.order; }
  };
  /// What waits to be read at one end of a stream.
  struct Arrival {
    enum class Kind : std::uint8_t { kAccept, kConnected, kBytes, kEnd };
    Kind kind = Kind::kBytes;
    std::vector<std::uint8_t> bytes;
  };
  struct StreamEnd {
    std::size_t node = 0, life = 0;
    swim::StreamId id = 0;
    bool over = false;  // Nobody listens here any more.
    std::deque<Arrival> inbox;
    std::size_t arrived = 0;  // So many of the inbox are in the kernel; the others wait at the sender.
    bool moving = false;      // A segment is on its way here.
    Duration resend{};
  };
  struct Stream {
    Endpoint to;
    StreamEnd ends[2];  // Who connected; who accepted.
  };

  // cluster.cc
  bool step(Instant end);
  void lose_memory(std::size_t node);
  void make_core(std::size_t node, Rng& rng);
  void rename(std::size_t node, std::string new_name);
  void deliver(Event& event);
  void take_datagram(std::size_t node, std::uint32_t from, Bytes bytes);
  void serve_later(std::size_t node);
  void serve(std::size_t node);
  void read_backlog(std::size_t node);
  void on_deadline(std::size_t node);
  void drain(std::size_t node);
  void drain_news(std::size_t node);
  void send(std::size_t node, const Endpoint& to, Bytes bytes);
  void send_once(std::size_t node, std::size_t to, Bytes bytes);
  void update_contact(std::size_t node);
  void post(Instant at, Event event);
  void reschedule(std::size_t node);
  void unschedule(std::size_t node);
  [[nodiscard]] Instant global(std::size_t node, Instant local) const;
  [[nodiscard]] std::optional<std::size_t> owner(const Endpoint& endpoint) const;
  void mix(std::uint64_t what, Bytes bytes);
  void trouble(std::size_t node) { troubles_[node] = now_; }
  template <typename F>
  void call(std::size_t node, F&& f) {
    const std::uint64_t before = count_allocations ? allocations() : 0;
    {
      const Counting counting;
      f(*nodes_[node]->core, *outbox_);
    }
    if (count_allocations) core_allocations += allocations() - before;
    drain(node);
  }

  // cluster_met.cc
  [[nodiscard]] std::vector<std::uint8_t> state_of(std::size_t teller, std::size_t asker);
  void hear_state(std::size_t node, std::size_t teller, Bytes state);

  // cluster_streams.cc
  void stream_effect(std::size_t node, const swim::StreamEffect& effect);
  void connect(std::size_t node, swim::StreamId id, const Endpoint& to);
  void on_syn(Event& event);
  void put(std::uint32_t stream, std::uint8_t side, Arrival arrival);
  void move(std::uint32_t stream, std::uint8_t side, Duration gap);
  void on_segment(std::uint32_t stream, std::uint8_t side);
  void read(std::uint32_t stream, std::uint8_t side);
  void end_over(std::uint32_t stream, std::uint8_t side);
  void break_streams(std::size_t node);

  ClusterOptions options_;
  Rng rng_;
  Network network_;
  Instant now_{};
  Instant next_second_{};
  std::uint64_t order_ = 0;
  std::uint64_t digest_ = 0;
  TextStore texts_;  // One for all: what they know alike is there once.
  std::vector<std::unique_ptr<Running>> nodes_;
  std::vector<Instant> troubles_;
  std::vector<Life> lives_;
  std::unordered_map<std::string, std::size_t> latest_life_;
  std::unordered_map<std::uint32_t, std::size_t> address_owner_;
  std::priority_queue<Due, std::vector<Due>, std::greater<>> in_flight_;
  std::vector<Event> events_pool_;
  std::vector<std::uint32_t> events_free_;
  std::unordered_map<std::uint32_t, Stream> streams_;  // By number; never iterated.
  std::uint32_t last_stream_ = 0;
  std::set<std::pair<Instant, std::size_t>> deadlines_;
  std::unique_ptr<serf::Outbox> outbox_;
  std::vector<Observer*> observers_;
  std::string failure_;
  std::optional<std::size_t> loses_memory_;
};

}  // namespace shoal::test
