#include "sim/crowd.h"

#include <algorithm>
#include <vector>

#include "sim/checkers.h"

namespace shoal::test {
namespace {

using serf::Status;

/// Among thousands the bounds of Checkers are so wide that a minute says nothing. Here nothing is lost, so nobody may
/// ever be called failed who did not crash; but for a leaver, for a moment, as everywhere.
class NoFalseVerdict final : public Observer {
 public:
  explicit NoFalseVerdict(std::uint64_t& count) : count_(count) {}
  void on_member_event(Cluster& cluster, std::size_t node, serf::MemberEventKind kind,
                       std::string_view about) override {
    if (kind != serf::MemberEventKind::kFailed) return;
    const Life* life = cluster.life_of(about);
    if (life != nullptr && (life->ended != kNever || life->leave_asked != kNever)) return;
    ++count_;
    cluster.fail(std::string(cluster.life(node).name) + " calls failed " + std::string(about) + ", who is well");
  }

 private:
  std::uint64_t& count_;
};

ClusterOptions options_of(const CrowdPlan& plan, std::uint64_t seed) {
  ClusterOptions options;
  options.seed = seed;
  options.nodes = plan.nodes + plan.joins;
  options.members_max = options.nodes;
  options.adjust = [](std::size_t, serf::NodeOptions& node) {
    // So much at once is never news here. Of the meeting each keeps what it heard last.
    node.swim.broadcasts_max = 128;
    node.swim.inbound_streams_max = 8;
    node.swim.outbound_streams_max = 5;
  };
  return options;
}

class Run {
 public:
  Run(const CrowdPlan& plan, std::uint64_t seed, Crowd& out)
      : plan_(plan), out_(out), cluster_(options_of(plan, seed)), verdicts_(out.false_failed) {
    cluster_.keep_news = false;
    cluster_.steps_max = ~std::uint64_t{0};
  }

  void operator()(const std::function<void()>& on_met) {
    cluster_.start_met(plan_.nodes, {{"role", "task"}, {"pool", "web"}, {"version", "1.4.2"}});
    on_met();
    Checkers checkers(cluster_, plan_.packets_one_in, plan_.views_one_in);
    cluster_.observe(verdicts_);
    const Instant begin = cluster_.now();
    cluster_.run_for(plan_.rest);
    happen();
    watch(begin);
    if (!cluster_.failed()) cluster_.run_for(begin + plan_.least - cluster_.now());
    if (!cluster_.failed()) {
      if (const std::string wrong = Checkers::wrong_view(cluster_); !wrong.empty()) cluster_.fail(wrong);
    }
    out_.wrong = cluster_.failure();
    out_.virtual_seconds = static_cast<double>(to_ms(cluster_.now() - begin)) / 1000.0;
    out_.datagrams = cluster_.packets;
    out_.digest = cluster_.digest();
  }

 private:
  struct Awaited {
    std::size_t node;
    Status status;
    bool changed;  // Its new tag is what is waited for.
    double* last;
  };

  /// The k-th of the nodes to which something happens: spread over all but the first, which is the seed of the joiners.
  [[nodiscard]] std::size_t chosen(std::size_t k) const {
    const std::size_t all = plan_.crashes + plan_.leaves + plan_.changes;
    return 1 + k * (plan_.nodes - 1) / all;
  }

  void happen() {
    std::size_t k = 0;
    for (std::size_t i = 0; i < plan_.frozen; ++i) cluster_.freeze(plan_.nodes - 1 - i);
    for (std::size_t i = 0; i < plan_.crashes; ++i) {
      awaited_.push_back({chosen(k), Status::kFailed, false, &out_.failed});
      cluster_.crash(chosen(k++));
    }
    for (std::size_t i = 0; i < plan_.leaves; ++i) {
      awaited_.push_back({chosen(k), Status::kLeft, false, &out_.left});
      cluster_.leave(chosen(k++));
    }
    for (std::size_t i = 0; i < plan_.changes; ++i) {
      awaited_.push_back({chosen(k), Status::kAlive, true, &out_.changed});
      cluster_.set_tags(chosen(k++), {{"role", "task"}, {"pool", "web"}, {"version", "1.5.0"}});
    }
    for (std::size_t node = plan_.nodes; node < cluster_.size(); ++node) {
      awaited_.push_back({node, Status::kAlive, false, &out_.joined});
      cluster_.start(node, 0, {{"role", "task"}});
    }
  }

  [[nodiscard]] bool seen_by_all(const Awaited& awaited) const {
    if (awaited.status == Status::kAlive && !awaited.changed) return cluster_.all_see(awaited.node, Status::kAlive);
    // Who came when it was gone never hears of it.
    for (std::size_t viewer = 0; viewer < plan_.nodes; ++viewer) {
      if (!cluster_.running(viewer) || viewer == awaited.node) continue;
      if (awaited.changed && cluster_.tag(viewer, awaited.node, "version") != "1.5.0") return false;
      if (!awaited.changed && cluster_.status(viewer, awaited.node) != awaited.status) return false;
    }
    return true;
  }

  void watch(Instant begin) {
    const Instant happened = cluster_.now();
    const bool all_seen = cluster_.run_until_every(500ms, begin + plan_.most - happened, [&] {
      for (const std::size_t node : cluster_.left) {
        if (cluster_.started(node)) cluster_.crash(node);  // Who is done leaving ends, as the program does.
      }
      for (std::size_t i = 0; i < awaited_.size();) {
        if (!seen_by_all(awaited_[i])) {
          ++i;
          continue;
        }
        *awaited_[i].last = static_cast<double>(to_ms(cluster_.now() - happened)) / 1000.0;
        awaited_.erase(awaited_.begin() + static_cast<std::ptrdiff_t>(i));
      }
      return awaited_.empty();
    });
    if (all_seen) return;
    cluster_.fail("not all have seen of " + Cluster::name(awaited_[0].node) + " that it is " +
                  (awaited_[0].changed ? "another" : std::string(serf::to_text(awaited_[0].status))));
  }

  CrowdPlan plan_;
  Crowd& out_;
  Cluster cluster_;
  NoFalseVerdict verdicts_;
  std::vector<Awaited> awaited_;
};

}  // namespace

Crowd crowd(const CrowdPlan& plan, std::uint64_t seed, const std::function<void()>& on_met) {
  Crowd out;
  const auto run = std::make_unique<Run>(plan, seed, out);
  (*run)(on_met);
  return out;
}

}  // namespace shoal::test
