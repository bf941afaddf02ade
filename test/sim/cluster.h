// A cluster of serf::Node objects on virtual time: the very cores of the program, with a network in between that loses,
// delays and cuts as it is told. Every choice comes from one seed; the digest over all packets is equal for equal seeds
// on every compiler.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <set>
#include <string>
#include <vector>

#include "base/rng.h"
#include "serf/node.h"

namespace shoal::test {

struct NetworkOptions {
  Duration latency_min = 200us;
  Duration latency_max = 2ms;
  std::uint32_t loss_ppm = 0;       // Of datagrams.
  std::uint32_t duplicate_ppm = 0;  // Of datagrams.
};

class Cluster {
 public:
  Cluster(std::uint64_t seed, std::size_t nodes, const swim::Timing& timing, const NetworkOptions& network = {});

  [[nodiscard]] std::size_t size() const { return nodes_.size(); }
  [[nodiscard]] Instant now() const { return now_; }
  [[nodiscard]] std::uint64_t digest() const { return digest_; }
  [[nodiscard]] static std::string name(std::size_t node) { return "node-" + std::to_string(node); }
  [[nodiscard]] Endpoint endpoint(std::size_t node) const;

  // What happens to nodes. A started node joins `seed_node` (itself = nobody), again and again until it has succeeded;
  // as the program does, it answers a stranger's ping with a push/pull, one a second.
  void start(std::size_t node, std::size_t seed_node,
             const std::vector<std::pair<std::string, std::string>>& tags = {});
  void crash(std::size_t node);   // Nothing more in or out; its state is lost.
  void freeze(std::size_t node);  // Nothing runs; what comes waits, at most 256 packets.
  void thaw(std::size_t node);
  void leave(std::size_t node);
  void set_tags(std::size_t node, const std::vector<std::pair<std::string, std::string>>& tags);

  // What happens to the network.
  void cut(std::size_t a, std::size_t b, bool both_ways = true);  // From a to b.
  void heal();
  void cut_datagrams_only(std::size_t node);  // UDP to and from it is lost, TCP works.
  NetworkOptions& network() { return network_; }

  void run_for(Duration d);
  /// Until `done` or the time is over; false in the latter case.
  template <typename Done>
  bool run_until(Duration limit, Done&& done) {
    const Instant end = now_ + limit;
    while (!done()) {
      if (!step(end)) return done();
    }
    return true;
  }

  // What a node sees.
  [[nodiscard]] serf::Status status(std::size_t viewer, std::size_t of) const;
  [[nodiscard]] std::string tag(std::size_t viewer, std::size_t of, std::string_view key) const;
  /// Everyone running sees exactly these statuses of `of`.
  [[nodiscard]] bool all_see(std::size_t of, serf::Status status) const;
  [[nodiscard]] bool running(std::size_t node) const { return nodes_[node] && !nodes_[node]->frozen; }
  [[nodiscard]] serf::Node& node(std::size_t node) { return *nodes_[node]->core; }

  /// Runs a command on a node's core: f(core, now, outbox).
  template <typename F>
  void command(std::size_t node, F&& f) {
    f(*nodes_[node]->core, now_, *outbox_);
    drain(node);
  }

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
  std::vector<SeenEvent> events;
  std::vector<SeenQuery> queries;
  std::vector<SeenResponse> responses;
  std::vector<std::pair<std::size_t, bool>> joins;  // node, ok
  std::set<std::size_t> left;

  // Checked at every step; aborts with the seed and the time when broken.
  std::size_t packet_bytes_most = 0;
  std::uint64_t packets = 0;
  /// operator new calls inside the cores; counted when the binary has allocation_counter.cc.
  bool count_allocations = false;
  std::uint64_t core_allocations = 0;

 private:
  struct Running {
    std::unique_ptr<serf::Node> core;
    bool frozen = false;
    std::size_t seed_node = 0;
    Instant stranger_after{};
    std::vector<std::vector<std::uint8_t>> backlog;
    std::map<swim::StreamId, std::pair<std::size_t, swim::StreamId>> streams;  // own id -> peer and its id
    Instant scheduled = kNever;
  };
  enum class Kind : std::uint8_t { kPacket, kConnect, kConnected, kBytes, kClosed, kRejoin, kPushPull };
  struct Event {
    Instant at;
    std::uint64_t order;
    Kind kind;
    std::size_t to;
    std::size_t from;
    swim::StreamId stream;
    std::vector<std::uint8_t> bytes;
    std::uint64_t incarnation_to;
    bool operator>(const Event& other) const { return at != other.at ? at > other.at : order > other.order; }
  };

  bool step(Instant end);
  void deliver(Event& event);
  void drain(std::size_t node);
  void post(Event event, bool datagram);
  void reschedule(std::size_t node);
  [[nodiscard]] std::optional<std::size_t> at(const Endpoint& endpoint) const;
  [[nodiscard]] bool is_cut(std::size_t from, std::size_t to) const { return cuts_.count({from, to}) > 0; }
  void mix(Bytes bytes);
  template <typename F>
  void call(std::size_t node, F&& f);

  std::uint64_t seed_;
  Rng rng_;
  swim::Timing timing_;
  NetworkOptions network_;
  Instant now_{};
  std::uint64_t order_ = 0;
  std::uint64_t digest_ = 0;
  std::vector<std::unique_ptr<Running>> nodes_;
  std::vector<std::uint64_t> lives_;  // Grows with each start of a node.
  std::priority_queue<Event, std::vector<Event>, std::greater<>> in_flight_;
  std::set<std::pair<Instant, std::size_t>> deadlines_;
  std::set<std::pair<std::size_t, std::size_t>> cuts_;
  std::set<std::size_t> datagrams_cut_;
  std::unique_ptr<serf::Outbox> outbox_;
};

[[nodiscard]] std::vector<std::uint8_t> encode_meta(const std::vector<std::pair<std::string, std::string>>& tags);

}  // namespace shoal::test
