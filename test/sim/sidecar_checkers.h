// What must hold in every run of the sidecar's core, judged by the HAProxy model's own tables and by what is true of
// the tasks, never by what the core believes.
//
//   lines        nothing is sent that is not one clean line of a known command; no foreign or static server is named;
//                not more lines in a second than the work explains
//   rotation     no server is taken out for which all that the sidecar was told speaks, nor before the facts are
//   complete deletion     nothing is deleted before 10 s in maintenance, nor asked to be while a request is in flight
//   operator     what an operator has set on the socket stays until undone
//   truth        `accepted` and `drained` are so when they are said
//   convergence  after the faults HAProxy holds what the tasks say, and then it is quiet
#pragma once

#include <map>
#include <string>

#include "sim/sidecar_world.h"

namespace shoal::test {

struct SidecarBounds {
  /// How old an answer may be when it is read: what it shows was so not longer ago.
  Duration stale{};
  /// Until a mark on the socket has surely been seen by a sidecar that was connected.
  Duration seen{};
  Duration hold{};          // A server without a word stays so long after the sidecar's start,
  Duration say_most = 10s;  // and so long after the cluster was complete.
  Duration quarantine = 10s;
  Duration converge_rotation = 100s;
  Duration converge_all{};
  explicit SidecarBounds(const WorldOptions& options);
};

class LineChecker final : public WorldObserver {
 public:
  void on_line(World& world, std::size_t host, haproxy::Stream stream, std::string_view line) override;
  void on_second(World& world) override;
  /// From now on no change, and so many lines in a second and host, no more.
  void begin_quiet(std::size_t limit);

 private:
  std::map<std::size_t, std::size_t> in_this_second_;
  bool is_quiet_ = false;
  std::size_t quiet_limit_ = 0;
};

class RotationChecker final : public WorldObserver {
 public:
  explicit RotationChecker(const SidecarBounds& bounds) : bounds_(bounds) {}
  void on_line(World& world, std::size_t host, haproxy::Stream stream, std::string_view line) override;

 private:
  SidecarBounds bounds_;
};

class FloorChecker final : public WorldObserver {
 public:
  void on_line(World& world, std::size_t host, haproxy::Stream stream, std::string_view line) override;

 private:
  std::map<std::pair<std::size_t, std::string>, Instant> going_;  // Taken out by a line that may be on its way yet.
};

class DeletionChecker final : public WorldObserver {
 public:
  explicit DeletionChecker(const SidecarBounds& bounds) : bounds_(bounds) {}
  void on_line(World& world, std::size_t host, haproxy::Stream stream, std::string_view line) override;
  void on_change(World& world, std::size_t host, HaproxyProcess& process, Hand hand, const ModelPool& pool,
                 const ModelServer* before, const ModelServer* after) override;

 private:
  SidecarBounds bounds_;
};

class OperatorChecker final : public WorldObserver {
 public:
  explicit OperatorChecker(const SidecarBounds& bounds) : bounds_(bounds) {}
  void on_change(World& world, std::size_t host, HaproxyProcess& process, Hand hand, const ModelPool& pool,
                 const ModelServer* before, const ModelServer* after) override;
  void on_process_end(World& world, std::size_t host, HaproxyProcess& process) override;
  [[nodiscard]] bool is_marked(std::size_t host, const std::string& server) const {
    return marks_.count({host, server}) == 1;
  }
  /// The start had it when it was marked; it may have moved since.
  [[nodiscard]] bool is_marked_for(std::size_t host, const std::string& who) const {
    for (const auto& [key, mark] : marks_) {
      if (key.first == host && mark.who == who) return true;
    }
    return false;
  }

 private:
  [[nodiscard]] static bool may_go(const World& world, std::size_t start);
  struct Mark {
    Instant since{};
    std::string who;
  };
  SidecarBounds bounds_;
  std::map<std::pair<std::size_t, std::string>, Mark> marks_;
};

class TruthChecker final : public WorldObserver {
 public:
  explicit TruthChecker(const SidecarBounds& bounds) : bounds_(bounds) {}
  void on_change(World& world, std::size_t host, HaproxyProcess& process, Hand hand, const ModelPool& pool,
                 const ModelServer* before, const ModelServer* after) override;
  void on_process_end(World& world, std::size_t host, HaproxyProcess& process) override;
  void on_accepted(World& world, std::size_t start, const announce::Standing& standing) override;
  void on_drained(World& world, std::size_t start, const announce::Standing& standing) override;
  void on_request(World& world, std::size_t host, HaproxyProcess& process, const ModelPool& pool,
                  const ModelServer& server) override;
  void on_second(World& world) override;
  std::uint64_t accepted = 0, drained = 0;

 private:
  /// The live process had the start's server in rotation at some moment of the last `within`.
  [[nodiscard]] bool was_in_rotation(World& world, std::size_t host, const Start& start, Duration within) const;
  SidecarBounds bounds_;
  std::map<std::pair<std::size_t, std::string>, Instant> lost_at_;
};

/// All of them, on one world.
class SidecarCheckers {
 public:
  explicit SidecarCheckers(World& world);
  [[nodiscard]] const SidecarBounds& bounds() const { return bounds_; }
  [[nodiscard]] const TruthChecker& truth() const { return truth_; }
  [[nodiscard]] bool is_marked(std::size_t host, const std::string& server) const {
    return operator_.is_marked(host, server);
  }

  /// After all faults have ended: first who serves is right, then all that should be gone is gone.
  void expect_convergence(World& world);
  /// Nothing more changes, and little is said.
  void expect_quiet(World& world, Duration span);
  /// The first difference between HAProxy's tables and what the tasks say; empty = none. `leftovers`: servers that are
  /// to be deleted count as one.
  [[nodiscard]] std::string wrong(World& world, bool leftovers) const;

 private:
  [[nodiscard]] bool is_marked_start(World& world, std::size_t host, const Start& start) const;
  [[nodiscard]] static bool may_be_held(World& world, const ModelPool& pool, const Endpoint& place);
  [[nodiscard]] std::string wrong_server(World& world, std::size_t host, const ModelPool& pool,
                                         const ModelServer& server, bool leftovers) const;
  SidecarBounds bounds_;
  LineChecker lines_;
  RotationChecker rotation_;
  FloorChecker floor_;
  DeletionChecker deletion_;
  OperatorChecker operator_;
  TruthChecker truth_;
};

}  // namespace shoal::test
