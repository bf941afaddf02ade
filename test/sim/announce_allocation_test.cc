// The two ends of the conversation about one task's server, in a storm: nothing is allocated once they are made.
#include <doctest/doctest.h>

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "announce/announcer.h"
#include "announce/registrar.h"
#include "support/allocation_counter.h"

namespace shoal::announce {
namespace {

constexpr std::size_t kTasks = 300;

/// A payload on its way, and for whom.
struct Sent {
  bool to_registrar = false;
  bool is_solicit = false;
  std::size_t task = 0;
  std::uint64_t token = 0;
  FixedString<32> name;
  FixedBytes<kPayloadBytesMax> payload;
};

class Storm {
 public:
  Storm()
      : registrar_(options(), Rng(3), now_), out_(options().queries_max, options().held_max, options().solicits_max) {
    for (std::size_t i = 0; i < kTasks; ++i) {
      Announcer::Options task;
      task.start_id = 1000 + i;
      task.sidecars_max = 4;
      announcers_.push_back(std::make_unique<Announcer>(task, Rng(100 + i), now_));
    }
  }
  std::uint64_t allocated = 0;

  void begin() {
    for (std::size_t i = 0; i < kTasks; ++i) {
      registrar([&] { registrar_.on_member(now_, {name(i), place(i), MemberStatus::kAlive, true, true}, out_); });
      task(i, [&](Announcer& a) { a.on_sidecar(now_, "proxy", place(kTasks), MemberStatus::kAlive, true, task_out_); });
      Announcement what;
      what.port = 8080;
      task(i, [&](Announcer& a) { a.set_ready(now_, what, task_out_); });
    }
  }
  void depart() {
    for (std::size_t i = 0; i < kTasks; ++i) task(i, [&](Announcer& a) { a.depart(now_, 10s, task_out_); });
  }
  void run(Duration span) {
    for (const Instant end = now_ + span; now_ < end; now_ += 10ms) {
      while (!sent_.empty()) deliver();
      if (registrar_.next_deadline() <= now_) registrar([&] { registrar_.on_deadline(now_, out_); });
      for (std::size_t i = 0; i < kTasks; ++i) {
        if (announcers_[i]->next_deadline() > now_) continue;
        task(i, [&](Announcer& a) { a.on_deadline(now_, task_out_); });
      }
    }
  }
  std::size_t accepted() const {
    std::size_t n = 0;
    for (const auto& announcer : announcers_) n += announcer->sidecars_accepted();
    return n;
  }
  std::size_t drained() const {
    std::size_t n = 0;
    for (const auto& announcer : announcers_) n += announcer->drain() == Announcer::Drain::kDone ? 1 : 0;
    return n;
  }

 private:
  static Registrar::Options options() {
    Registrar::Options out;
    out.members_max = kTasks;
    return out;
  }
  static std::string name(std::size_t i) { return "t" + std::to_string(i); }
  static Endpoint place(std::size_t i) {
    return {IpAddress::v4(10, 0, static_cast<std::uint8_t>(i / 200), static_cast<std::uint8_t>(i % 200 + 1)), 7946};
  }
  template <typename F>
  void counted(F&& f) {
    const std::uint64_t before = test::allocations();
    {
      const test::Counting counting;
      f();
    }
    allocated += test::allocations() - before;
  }
  void send(Sent sent, Bytes payload) {
    REQUIRE(sent.payload.assign(payload));
    sent_.push_back(sent);
  }
  template <typename F>
  void task(std::size_t i, F&& f) {
    counted([&] { f(*announcers_[i]); });
    for (const AnnouncerEffect& effect : task_out_.effects()) {
      Sent sent{true, false, i, 0, {}, {}};
      if (const auto* query = std::get_if<SendQuery>(&effect)) {
        sent.token = query->token;
        REQUIRE(sent.name.assign(query->query));
        send(sent, query->payload);
      } else if (const auto* answer = std::get_if<AnswerSolicit>(&effect)) {
        sent.is_solicit = true;
        sent.token = answer->query_ref;
        send(sent, answer->payload);
      }
    }
    task_out_.clear();
  }
  void registrar(const std::function<void()>& f) {
    counted(f);
    std::deque<std::pair<NodeName, bool>> news;  // And whether it departs.
    for (const RegistrarEffect& effect : out_.effects()) {
      if (const auto* said = std::get_if<ForwardAnnouncement>(&effect)) news.emplace_back(said->node, false);
      if (const auto* said = std::get_if<ForwardDeparture>(&effect)) news.emplace_back(said->node, true);
      if (const auto* answer = std::get_if<Answer>(&effect)) {
        const auto& [i, token] = asked_[answer->query_ref - 1];
        send({false, false, i, token, {}, {}}, answer->payload);
      }
      if (const auto* solicit = std::get_if<Solicit>(&effect)) {
        const auto i = static_cast<std::size_t>(std::stoul(std::string(solicit->node.view().substr(1))));
        send({false, true, i, solicit->token, {}, {}}, solicit->payload);
      }
    }
    out_.clear();
    for (const auto& [node, departs] : news) {
      Standing standing;
      standing.proxies_up = standing.proxies_total = 1;
      standing.in_rotation = !departs;
      standing.out = standing.drained = departs;
      registrar([&, name = node] { registrar_.on_standing(now_, name, standing, out_); });
    }
  }
  void deliver() {
    const Sent sent = sent_.front();
    sent_.pop_front();
    if (!sent.to_registrar && sent.is_solicit) {
      return task(sent.task,
                  [&](Announcer& a) { a.on_solicit(now_, sent.token, "proxy", sent.payload.view(), task_out_); });
    }
    if (!sent.to_registrar) {
      return task(sent.task,
                  [&](Announcer& a) { a.on_response(now_, sent.token, "proxy", sent.payload.view(), task_out_); });
    }
    const std::string from = name(sent.task);
    if (sent.is_solicit) {
      return registrar([&] { registrar_.on_solicit_answer(now_, sent.token, from, sent.payload.view(), out_); });
    }
    asked_.emplace_back(sent.task, sent.token);
    const Query query{asked_.size(), sent.name.view(), from, place(sent.task), sent.payload.view()};
    registrar([&] { registrar_.on_query(now_, query, out_); });
  }

  Instant now_ = Instant{} + 1s;
  Registrar registrar_;
  RegistrarOutbox out_;
  AnnouncerOutbox task_out_{4};
  std::vector<std::unique_ptr<Announcer>> announcers_;
  std::deque<Sent> sent_;
  std::vector<std::pair<std::size_t, std::uint64_t>> asked_;  // By the query's reference: task and token.
};

TEST_CASE("registrar and announcers allocate nothing through a storm of announcements and departures") {
  Storm storm;
  storm.begin();
  storm.run(20s);
  CHECK(storm.accepted() == kTasks);
  storm.depart();
  storm.run(20s);
  CHECK(storm.drained() == kTasks);
  CHECK(storm.allocated == 0);
}

}  // namespace
}  // namespace shoal::announce
