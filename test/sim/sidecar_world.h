// The sidecar's core, the program's own with the runtime session in it, on virtual time: joined to HAProxies
// (haproxy_host.h) and to nodes whose tasks come, go, fail and come back. Every choice comes from one seed; the digest
// over all that the core says and hears is equal for equal seeds on every compiler.
//
// Words: a node is a member's name; a start is one life of its task, with a place, a pool and a server's name; the
// ledger is what the present sidecar has been told. What is true and what the sidecar has been told are kept apart, so
// that a checker can ask for both.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/rng.h"
#include "sidecar/core.h"
#include "sim/haproxy_host.h"
#include "support/allocation_counter.h"

namespace shoal::test {

struct WorldOptions {
  std::uint64_t seed = 1;
  std::size_t nodes_max = 64;
  std::vector<HostOptions> hosts;
  sidecar::Options core;
  Duration word_delay_max = 20ms;  // Of a task's word and of gossip's news.
  Duration member_first_max = 2s;  // A fresh sidecar meets the members,
  Duration word_first_max = 8s;    // hears what each says,
  Duration ready_after_max = 5s;   // and is told that the cluster has been joined.
  bool verify_is_sure = true;      // Neither of the two, from the beginning.
  // What the checkers hold the core to; they do not believe its options.
  Duration promised_hold{};
  Duration promised_watch{};
  Duration pause_max{};          // The sidecar's longest.
  Duration drain_timeout = 25s;  // A task stops waiting then.
  std::uint32_t verify_lost_ppm = 0;
  std::uint32_t verify_wrong_ppm = 0;  // Refused or timed out although somebody listens.
};

/// One life of a task.
struct Start {
  std::size_t node = 0;
  std::uint64_t id = 0;
  std::uint64_t seq = 0;
  std::string server;
  std::string pool;
  Endpoint place;
  std::uint16_t weight = 100;
  announce::TaskState says = announce::TaskState::kReady;
  bool task_lives = true;    // It goes on saying so.
  bool worker_lives = true;  // Somebody answers at the place.
  bool host_lives = true;    // Without it a connect times out instead of being refused.
  Instant worker_died = kNever;
  bool accepted = false;  // Was told so, of its last word.
  bool ever_accepted = false;
  bool drained = false;  // Was told so.
  Instant departs_at = kNever;
};

struct Node {
  std::string name;
  IpAddress addr;
  sidecar::MemberStatus status = sidecar::MemberStatus::kReaped;
  bool is_member = false;
  announce::Wish wish = announce::Wish::kNone;  // An operator's, by way of the task's tag.
  std::size_t start = kNoStart;                 // The last one.
  Instant told_until{};                         // Gossip's news of one node keep their order.
  static constexpr std::size_t kNoStart = ~std::size_t{0};
};

/// What the present sidecar has been told of a node.
struct Told {
  bool is_member = false;
  sidecar::MemberStatus status = sidecar::MemberStatus::kReaped;
  IpAddress addr;
  std::size_t start = Node::kNoStart;  // Whose word it has.
  std::uint64_t seq = 0;
  announce::TaskState state = announce::TaskState::kUnknown;
  bool needs_word = false;
  announce::Wish wish = announce::Wish::kNone;
  bool is_forgotten = false;  // It had a word, and is no member any more.
  bool is_mixed = false;      // Of two starts in an order that leaves it open which one counts.
};

class World;

/// Watches; what it finds wrong it says by World::fail.
class WorldObserver {
 public:
  virtual ~WorldObserver() = default;
  /// The core writes a line, without its line feed.
  virtual void on_line(World&, std::size_t /*host*/, haproxy::Stream, std::string_view /*line*/) {}
  virtual void on_change(World&, std::size_t /*host*/, HaproxyProcess&, Hand, const ModelPool&,
                         const ModelServer* /*before*/, const ModelServer* /*after*/) {}
  /// The live process is about to end or to become an old one.
  virtual void on_process_end(World&, std::size_t /*host*/, HaproxyProcess&) {}
  virtual void on_request(World&, std::size_t /*host*/, HaproxyProcess&, const ModelPool&, const ModelServer&) {}
  virtual void on_accepted(World&, std::size_t /*start*/, const announce::Standing&) {}
  virtual void on_drained(World&, std::size_t /*start*/, const announce::Standing&) {}
  virtual void on_told(World&, std::size_t /*node*/) {}
  virtual void on_core_event(World&, const sidecar::Event&) {}
  virtual void on_second(World&) {}
};

class World {
 public:
  explicit World(const WorldOptions& options);
  ~World();

  // ---- time
  void run_for(Duration span);
  template <typename Done>
  bool run_until_every(Duration pause, Duration limit, Done&& done) {
    const Instant end = now() + limit;
    while (!done()) {
      if (now() >= end || failed()) return false;
      run_for(std::min(pause, end - now()));
    }
    return true;
  }
  [[nodiscard]] Instant now() const { return timeline_.now(); }
  Timeline& timeline() { return timeline_; }
  Rng& rng() { return rng_; }

  // ---- the sidecar
  void start_sidecar();
  void kill_sidecar();
  void pause_sidecar(Duration for_so_long);
  [[nodiscard]] bool sidecar_runs() const { return core_ != nullptr; }
  [[nodiscard]] const sidecar::Core& core() const { return *core_; }
  [[nodiscard]] Instant sidecar_started() const { return started_; }
  [[nodiscard]] Instant ready_told() const { return ready_told_; }
  /// When the core last began a batch for any host.
  [[nodiscard]] Instant batch_began() const { return batch_began_; }
  [[nodiscard]] bool sidecar_paused() const { return paused_until_ > now(); }

  // ---- tasks
  /// A new start of the node at that place; it announces itself.
  std::size_t begin(std::size_t node, const IpAddress& addr, std::uint16_t port, const std::string& pool,
                    std::uint16_t weight, std::uint64_t id);
  void say(std::size_t start, announce::TaskState state);
  void set_weight(std::size_t start, std::uint16_t weight);
  void depart(std::size_t start) { say(start, announce::TaskState::kDeparting); }
  void kill_worker(std::size_t start);
  /// Task and worker, at once; the host too, so that connects time out.
  void kill_task(std::size_t start, bool host_too);
  /// What gossip says of the node, whatever is true.
  void set_status(std::size_t node, sidecar::MemberStatus status);
  void set_address(std::size_t node, const IpAddress& addr);
  void set_wish(std::size_t node, announce::Wish wish);
  /// The machines of dead tasks run again: who connects there is refused.
  void revive_machines();
  /// An old word that has been on its way for long.
  void repeat_word(std::size_t start, std::uint64_t seq, announce::TaskState state);
  [[nodiscard]] bool answers(const Endpoint& place) const;
  /// The machine that had it last is dead: connects time out.
  [[nodiscard]] bool is_silent(const Endpoint& place) const;

  [[nodiscard]] const std::vector<Start>& starts() const { return starts_; }
  [[nodiscard]] std::vector<Node>& nodes() { return nodes_; }
  /// Node::kNoStart when no start has a server of that name.
  [[nodiscard]] std::size_t start_of(std::string_view server) const;
  /// The same of a server, or a slot, of the host's present process.
  [[nodiscard]] std::size_t start_of(std::size_t host, std::string_view pool, std::string_view server) const;
  [[nodiscard]] const Told& told(std::size_t node) const { return told_[node]; }
  /// All that the sidecar has been told of this start speaks for it.
  [[nodiscard]] bool is_good(std::size_t start) const;
  /// The last moment at which it was not so.
  [[nodiscard]] Instant good_since(std::size_t start) const { return good_since_[start]; }
  /// In truth: its task lives, is ready and a member, nobody wishes otherwise, and its pool can take servers.
  [[nodiscard]] bool is_wanted(std::size_t start) const;
  /// The sidecar has been told of somebody else at the start's place.
  [[nodiscard]] bool is_claimed_by_others(std::size_t start) const;
  [[nodiscard]] bool is_ours(std::string_view server) const;

  // ---- HAProxy
  [[nodiscard]] std::size_t hosts() const { return hosts_.size(); }
  [[nodiscard]] HaproxyHost& host(std::size_t i) { return *hosts_[i]; }
  [[nodiscard]] const WorldOptions& options() const { return options_; }
  WorldOptions& options() { return options_; }
  /// Whether the core has an open connection to this process of the host's.
  [[nodiscard]] bool is_connected_to(std::size_t host, const HaproxyProcess& process) const;

  // ---- findings
  void observe(WorldObserver& observer) { observers_.push_back(&observer); }
  void fail(std::string what);
  [[nodiscard]] bool failed() const { return !failure_.empty(); }
  [[nodiscard]] const std::string& failure() const { return failure_; }
  [[nodiscard]] std::uint64_t digest() const { return digest_; }
  [[nodiscard]] std::uint64_t lines() const { return lines_; }
  [[nodiscard]] std::uint64_t steps() const { return steps_; }
  std::uint64_t core_allocations = 0;

  // ---- for planted faults
  /// A line as if the core had written it, carried out at once.
  void say_as_core(std::size_t host, const std::string& line);
  /// May change what the core reads.
  std::function<void(std::size_t host, haproxy::Stream stream, std::string& bytes)> tamper_answers;
  /// False: the core is never given it.
  std::function<bool(std::size_t start)> hears;
  /// Called with each line that the core writes.
  std::function<void(std::size_t host, std::string_view line)> after_line;
  /// May change a standing before it is told.
  std::function<void(std::size_t start, announce::Standing&)> tamper_standing;

 private:
  class Link final : public HostClient, public HaproxyWatcher {
   public:
    Link(World& world, std::size_t host) : world_(world), host_(host) {}
    void on_connected(std::uint64_t connection) override;
    void on_connect_failed(std::uint64_t connection) override;
    void on_bytes(std::uint64_t connection, std::string_view bytes) override;
    void on_closed(std::uint64_t connection) override;
    void on_change(HaproxyProcess& process, Hand hand, const ModelPool& pool, const ModelServer* before,
                   const ModelServer* after) override;
    std::string label(const ModelPool& pool, const ModelServer& server) override;
    std::array<std::uint64_t, haproxy::kStreams> connections{};

   private:
    friend class World;
    using StreamInput = std::function<void(sidecar::Core&, Instant, haproxy::Stream, sidecar::Outbox&)>;
    void give(std::uint64_t connection, bool is_end, StreamInput input);
    World& world_;
    std::size_t host_;
  };

  /// `note` goes into our books; the core's part is watched for allocations.
  struct Input {
    std::function<void()> note;
    std::function<void(sidecar::Core&, Instant, sidecar::Outbox&)> core;
  };
  /// Runs an input of the core now, or after its pause.
  void give(Input input);
  void drive(const Input& input);
  void drain();
  void hand_over(std::size_t host, std::size_t stream);
  void carry_out(std::size_t host, haproxy::Stream stream);
  void verify(const sidecar::Verify& wanted);
  void take_events();
  void look_at_standing(std::size_t node);
  void tell_member(std::size_t node, Duration delay);
  void tell_word(std::size_t start, Duration delay, bool solicited);
  void hear_word(std::size_t start, std::uint64_t seq, announce::TaskState state, std::uint16_t weight, bool solicited);
  void note_word(std::size_t start, std::uint64_t seq, announce::TaskState state, bool solicited);
  void note_told(std::size_t node);
  void go_on_saying(std::size_t start, std::uint64_t seq, Duration wait);
  void meet_everybody();
  void stop_task(std::size_t start);
  void relabel_slots();
  void note(std::uint64_t what, std::string_view bytes);
  void every_second();
  [[nodiscard]] Duration word_delay() { return rng_.below(options_.word_delay_max); }

  WorldOptions options_;
  Rng rng_;
  Timeline timeline_;
  std::vector<std::unique_ptr<Link>> links_;
  std::vector<std::unique_ptr<HaproxyHost>> hosts_;

  std::unique_ptr<sidecar::Core> core_;
  std::unique_ptr<sidecar::Outbox> outbox_;
  std::uint64_t life_ = 0;  // Of the sidecar.
  Instant started_{};
  Instant ready_told_ = kNever;
  Instant batch_began_{};
  Instant paused_until_{};
  std::vector<Input> while_paused_;

  std::vector<Node> nodes_;
  std::vector<Start> starts_;
  std::map<std::string, std::size_t, std::less<>> servers_;
  std::vector<Told> told_;
  std::vector<Instant> good_since_;  // By start; kNever = not good.

  std::vector<WorldObserver*> observers_;
  std::string failure_;
  std::uint64_t digest_ = 0;
  std::uint64_t lines_ = 0;
  std::uint64_t steps_ = 0;
};

}  // namespace shoal::test
