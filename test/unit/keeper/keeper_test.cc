#include "keeper/keeper.h"

#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <vector>

namespace shoal::keeper {
namespace {

using Proxy = Keeper::ProxyState;
using Sidecar = Keeper::SidecarState;

std::string to_word(const KeeperEffect& effect) {
  if (std::holds_alternative<Look>(effect)) return "look";
  if (std::holds_alternative<StartProxy>(effect)) return "haproxy";
  if (std::holds_alternative<StartSidecar>(effect)) return "sidecar";
  if (const auto* s = std::get_if<SignalProxy>(&effect)) return "haproxy " + std::to_string(s->signal);
  if (const auto* s = std::get_if<SignalSidecar>(&effect)) return "sidecar " + std::to_string(s->signal);
  if (std::holds_alternative<ReloadProxy>(effect)) return "reload";
  if (std::holds_alternative<RetireProxyGroup>(effect)) return "retire";
  if (const auto* e = std::get_if<Exit>(&effect)) return "exit " + std::to_string(e->code);
  return {};
}

/// A keeper, its clock, and what it has wanted since the last question, as words. Notes are kept apart.
struct Trace {
  explicit Trace(const Keeper::Options& options = {}) : keeper(options, Rng(7), Instant{}) {}

  Instant now{};
  Keeper keeper;
  KeeperOutbox out;
  std::string words;
  std::vector<Note> notes;
  int exits = 0;

  Trace& drain() {
    for (const KeeperEffect& effect : out) {
      if (const auto* note = std::get_if<Note>(&effect)) {
        notes.push_back(*note);
        continue;
      }
      if (std::holds_alternative<Exit>(effect)) ++exits;
      if (!words.empty()) words += ", ";
      words += to_word(effect);
    }
    out.clear();
    return *this;
  }
  std::string take() {
    std::string taken;
    taken.swap(words);
    return taken;
  }
  [[nodiscard]] int count(Note::Kind kind) const {
    int sum = 0;
    for (const Note& note : notes) sum += note.kind == kind ? 1 : 0;
    return sum;
  }

  Trace& start() { return keeper.start(now, out), drain(); }
  Trace& looked(Looked what) { return keeper.on_looked(now, what, out), drain(); }
  Trace& proxy_started() { return keeper.on_proxy_started(now, out), drain(); }
  Trace& proxy_failed(int code) { return keeper.on_proxy_failed(now, code, out), drain(); }
  Trace& proxy_exited(int status) { return keeper.on_proxy_exit(now, {status}, out), drain(); }
  Trace& sidecar_started() { return keeper.on_sidecar_started(now, out), drain(); }
  Trace& sidecar_failed(int code) { return keeper.on_sidecar_failed(now, code, out), drain(); }
  Trace& sidecar_exited(int status) { return keeper.on_sidecar_exit(now, {status}, out), drain(); }
  Trace& stop(bool fast = false) { return keeper.on_stop_signal(now, fast, out), drain(); }
  Trace& reload() { return keeper.on_reload_signal(now, out), drain(); }
  /// To the next deadline, and over it.
  Trace& next() {
    REQUIRE(keeper.next_deadline() != kNever);
    now = std::max(now, keeper.next_deadline());
    return keeper.on_deadline(now, out), drain();
  }
  Trace& wait(Duration d) {
    const Instant end = now + d;
    while (keeper.next_deadline() <= end) next();
    now = end;
    return *this;
  }

  /// HAProxy is up and the sidecar runs.
  Trace& up() {
    start().looked(Looked::kNobody).proxy_started().next().looked(Looked::kOurs).sidecar_started();
    CHECK(take() == "look, haproxy, look, sidecar");
    return *this;
  }
};

TEST_CASE("HAProxy is started when nobody answers, and the sidecar once HAProxy does") {
  Trace t;
  t.start();
  CHECK(t.take() == "look");
  t.looked(Looked::kNobody);
  CHECK(t.take() == "haproxy");
  t.proxy_started().wait(99ms);
  CHECK(t.take().empty());
  t.next().looked(Looked::kNobody);
  CHECK(t.take() == "look");
  t.next().looked(Looked::kSilent).next().looked(Looked::kForeign);
  CHECK(t.take() == "look, look, sidecar");
  CHECK(t.keeper.proxy() == Proxy::kServing);
  CHECK(t.keeper.sidecar() == Sidecar::kRunning);
  CHECK(t.keeper.next_deadline() == kNever);
}

TEST_CASE("a HAProxy that never answers on the socket is said, and counts as started after 10 s") {
  Trace t;
  t.start().looked(Looked::kNobody).proxy_started();
  while (t.keeper.proxy() == Proxy::kStarting) {
    t.next();
    if (t.take().find("look") != std::string::npos) t.looked(Looked::kNobody);
  }
  CHECK(t.now == Instant(10s));
  CHECK(t.count(Note::Kind::kProxyNotAnswering) == 1);
  CHECK(t.keeper.sidecar() == Sidecar::kRunning);
}

TEST_CASE("the very first start that fails ends us with HAProxy's status and nothing else was started") {
  Trace t;
  t.start().looked(Looked::kNobody).proxy_started().proxy_exited(1);
  CHECK(t.take() == "look, haproxy, exit 1");
  CHECK(t.count(Note::Kind::kProxyFailedAtStart) == 1);
  for (const int code : {126, 127, 69}) {
    Trace u;
    u.start().looked(Looked::kNobody).proxy_failed(code);
    CHECK(u.take() == "look, haproxy, exit " + std::to_string(code));
  }
}

TEST_CASE("later starts that fail are tried again, with back-off") {
  Trace t;
  t.up().proxy_exited(139);
  CHECK(t.take() == "retire");
  t.next().looked(Looked::kNobody).proxy_started().proxy_exited(1);
  CHECK(t.take() == "look, haproxy, retire");
  CHECK(t.now <= Instant(300ms));
  t.wait(700ms);
  CHECK(t.take().empty());
  t.next().looked(Looked::kNobody).proxy_failed(127);
  CHECK(t.take() == "look, haproxy");
  t.wait(1400ms);
  CHECK(t.take().empty());
  t.next().looked(Looked::kNobody).proxy_started().next().looked(Looked::kOurs);
  CHECK(t.take() == "look, haproxy, look");
  CHECK(t.keeper.proxy() == Proxy::kServing);
  CHECK(t.keeper.sidecar() == Sidecar::kRunning);
}

TEST_CASE("a sidecar that dies is started again alone, at once and then with back-off") {
  Trace t;
  t.up().sidecar_exited(137);
  CHECK(t.take().empty());
  t.next().sidecar_started();
  CHECK(t.take() == "sidecar");
  CHECK(t.now <= Instant(200ms));
  t.sidecar_exited(70).wait(700ms);
  CHECK(t.take().empty());
  t.next();
  CHECK(t.take() == "sidecar");
  t.sidecar_failed(126).wait(1400ms);
  CHECK(t.take().empty());
  t.next().sidecar_started().wait(61s);
  CHECK(t.take() == "sidecar");
  t.sidecar_exited(0).wait(100ms);
  CHECK(t.take() == "sidecar");
  CHECK(t.count(Note::Kind::kSidecarExited) == 3);
  CHECK(t.keeper.proxy() == Proxy::kServing);
}

TEST_CASE("a HAProxy that an earlier shoal left is adopted: signalled as our own, and replaced when it ends") {
  Trace t;
  t.start().looked(Looked::kOurs);
  CHECK(t.take() == "look, sidecar");
  t.sidecar_started().reload();
  CHECK(t.take() == "reload, sidecar 1");
  t.proxy_exited(-1).next().looked(Looked::kNobody);
  CHECK(t.take() == "retire, look, haproxy");
  Trace u;
  u.start().looked(Looked::kOurs).sidecar_started().stop();
  CHECK(u.take() == "look, sidecar, haproxy 10");
}

TEST_CASE("somebody else's HAProxy is used, never signalled, and one of our own follows when it is gone for good") {
  Trace t;
  t.start().looked(Looked::kForeign).sidecar_started().reload();
  CHECK(t.take() == "look, sidecar, sidecar 1");
  CHECK(t.count(Note::Kind::kReloadNotOurs) == 1);
  // Twice away, back again: its owner has replaced it.
  t.next().looked(Looked::kNobody).next().looked(Looked::kNobody).next().looked(Looked::kForeign);
  CHECK(t.take() == "look, look, look");
  t.next().looked(Looked::kSilent).next();
  CHECK(t.take() == "look, look");
  t.looked(Looked::kNobody).next().looked(Looked::kNobody).next().looked(Looked::kNobody);
  CHECK(t.take() == "look, look, haproxy");
  CHECK(t.keeper.sidecar() == Sidecar::kRunning);
  // This one fails: a later start, so it is tried again.
  t.proxy_started().proxy_exited(1);
  CHECK(t.take() == "retire");
  Trace u;
  u.start().looked(Looked::kForeign).sidecar_started().stop();
  CHECK(u.take() == "look, sidecar, sidecar 15");
  CHECK(u.count(Note::Kind::kForeignLeft) == 1);
  u.sidecar_exited(0);
  CHECK(u.take() == "exit 0");
}

TEST_CASE("nobody is started beside a socket that is held and silent") {
  Trace t;
  t.start();
  for (int i = 0; i < 20; ++i) t.looked(Looked::kSilent).next();
  CHECK(t.take().find("haproxy") == std::string::npos);
  CHECK(t.count(Note::Kind::kSocketSilent) == 1);
  t.looked(Looked::kNobody);
  CHECK(t.take() == "haproxy");
}

TEST_CASE("a HAProxy that goes into the background is adopted, and one that only ends is an error at the first start") {
  Trace t;
  t.start().looked(Looked::kNobody).proxy_started().proxy_exited(0);
  CHECK(t.take() == "look, haproxy, look");
  t.looked(Looked::kNobody).next().looked(Looked::kOurs);
  CHECK(t.take() == "look, sidecar");
  Trace u;
  u.start().looked(Looked::kNobody).proxy_started().proxy_exited(0);
  u.looked(Looked::kNobody).next().looked(Looked::kNobody).next().looked(Looked::kNobody);
  CHECK(u.take() == "look, haproxy, look, look, look, exit 78");
  CHECK(u.count(Note::Kind::kProxyInBackground) == 1);
  Trace v;
  v.up().proxy_exited(0).next().looked(Looked::kNobody).proxy_started().proxy_exited(0);
  v.looked(Looked::kNobody).next().looked(Looked::kNobody).next().looked(Looked::kNobody);
  CHECK(v.take() == "retire, look, haproxy, look, look, look");
  CHECK(v.keeper.proxy() == Proxy::kWaiting);
}

TEST_CASE("a look from before HAProxy's death is not believed") {
  Trace t;
  t.up().proxy_exited(137).next().looked(Looked::kNobody).proxy_started().next();
  CHECK(t.take() == "retire, look, haproxy, look");
  t.proxy_exited(137).next();
  CHECK(t.take() == "retire");
  CHECK_FALSE(t.keeper.would_adopt());
  t.looked(Looked::kOurs);
  CHECK(t.keeper.would_adopt());
  CHECK(t.take() == "look");
  t.looked(Looked::kNobody);
  CHECK(t.take() == "haproxy");
}

TEST_CASE("a stop is soft: the sidecar serves until HAProxy has gone, then leaves, and the exit is 0") {
  Trace t;
  t.up().stop();
  CHECK(t.take() == "haproxy 10");
  t.wait(900ms).proxy_exited(0);
  CHECK(t.take() == "retire, sidecar 15");
  t.sidecar_exited(0);
  CHECK(t.take() == "exit 0");
  CHECK(t.keeper.next_deadline() == kNever);
}

TEST_CASE("a stop has one budget: SIGTERM, SIGKILL, the sidecar's leave and the exit stand in it") {
  Trace t;
  t.up();
  const Instant begun = t.now;
  t.stop();
  // A master that is about a reload loses the signal with what it was.
  for (const Duration again : {0s, 1s, 3s, 7s, 15s}) {
    t.wait(begun + again - t.now);
    CHECK(t.take() == "haproxy 10");
  }
  t.wait(begun + 24999ms - t.now);
  CHECK(t.take() == "");
  t.next();
  CHECK(t.now == begun + 25s);
  CHECK(t.take() == "haproxy 15");
  t.next();
  CHECK(t.now == begun + 25500ms);
  CHECK(t.take() == "haproxy 9, sidecar 15");
  t.next();
  CHECK(t.now == begun + 27700ms);
  CHECK(t.take() == "sidecar 9");
  t.next();
  CHECK(t.now == begun + 28s);
  CHECK(t.take() == "exit 0");
  CHECK(t.count(Note::Kind::kAbandoned) == 1);
}

TEST_CASE("the parts of any budget stand in their order inside it") {
  for (const Duration drain : {Duration{}, Duration(1s), Duration(3s), Duration(30s), Duration(10min)}) {
    for (const Duration stop : {Duration(3s), Duration(4s), Duration(30s), Duration(120s)}) {
      const StopPlan plan = stop_plan(drain, stop);
      CHECK(plan.total == std::max(Duration(500ms), std::min(drain, stop - Duration(2s))));
      CHECK(plan.soft >= plan.total / 2);
      CHECK(plan.soft < plan.kill_proxy);
      CHECK(plan.kill_proxy < plan.kill_sidecar);
      CHECK(plan.kill_sidecar < plan.total);
    }
  }
}

TEST_CASE("a second request, or a fast one, ends both at once and within 3 s") {
  Trace t;
  t.up().stop().wait(5s).stop();
  CHECK(t.take() == "haproxy 10, haproxy 10, haproxy 10, sidecar 3, haproxy 15");
  t.proxy_exited(0);
  CHECK(t.take() == "retire");
  t.sidecar_exited(0);
  CHECK(t.take() == "exit 0");
  Trace u;
  u.up();
  const Instant begun = u.now;
  u.stop(true);
  CHECK(u.take() == "sidecar 3, haproxy 15");
  u.next();
  CHECK(u.now == begun + 500ms);
  CHECK(u.take() == "haproxy 9");
  u.next().next();
  CHECK(u.take() == "sidecar 9, exit 0");
  CHECK(u.now == begun + 3s);
  // One that comes late shortens nothing that is shorter.
  Trace v;
  v.up();
  const Instant first = v.now;
  v.stop().wait(27s).stop();
  while (v.exits == 0) v.next();
  CHECK(v.now == first + 28s);
}

TEST_CASE("a sidecar that dies during the stop stays away") {
  Trace t;
  t.up().stop().sidecar_exited(70).wait(900ms).proxy_exited(0);
  CHECK(t.take() == "haproxy 10, retire, exit 0");
  Trace u;
  u.up().sidecar_exited(70).stop().wait(900ms).proxy_exited(0);
  CHECK(u.take() == "haproxy 10, retire, exit 0");
}

TEST_CASE("a stop in every state before HAProxy is up ends too") {
  Trace looking;
  looking.start().stop();
  CHECK(looking.take() == "look, exit 0");
  looking.looked(Looked::kNobody);  // Too late.
  CHECK(looking.take().empty());
  Trace starting;
  starting.start().looked(Looked::kNobody).proxy_started().stop().proxy_exited(138);
  CHECK(starting.take() == "look, haproxy, haproxy 10, retire, exit 0");
  Trace waiting;
  waiting.up().proxy_exited(1).stop();
  CHECK(waiting.take() == "retire, sidecar 15");
  waiting.sidecar_exited(0);
  CHECK(waiting.take() == "exit 0");
  Trace idle;
  idle.stop();
  CHECK(idle.take() == "exit 0");
}

TEST_CASE("a reload reaches HAProxy and the sidecar, waits for a start, and is nothing during a stop") {
  Trace t;
  t.up().reload();
  CHECK(t.take() == "reload, sidecar 1");
  t.proxy_exited(1).next().looked(Looked::kNobody).proxy_started().reload();
  CHECK(t.take() == "retire, look, haproxy, sidecar 1");
  t.next().looked(Looked::kOurs);
  CHECK(t.take() == "look, reload");
  t.stop().reload();
  CHECK(t.take() == "haproxy 10");
}

/// Everything that can happen in some world, at random: children that die at any moment, looks that say anything,
/// signals at any time, processes that ignore what they are told.
struct World {
  explicit World(std::uint64_t seed) : rng(seed), keeper({.drain_timeout = 5s, .stop_timeout = 30s}, Rng(seed), {}) {}

  Rng rng;
  Keeper keeper;
  KeeperOutbox out;
  Instant now{};
  Instant stop_at = kNever;
  Instant exit_at = kNever;
  int proxies = 0, sidecars = 0, looks = 0;
  bool adopted = false;
  std::vector<std::function<void()>> due;  // Answers that the shell owes.

  void drain() {
    for (const KeeperEffect& effect : out) {
      CHECK(exit_at == kNever);
      if (std::holds_alternative<Look>(effect)) CHECK(++looks == 1);
      if (std::holds_alternative<StartProxy>(effect)) due.push_back([this] { start_proxy(); });
      if (std::holds_alternative<StartSidecar>(effect)) due.push_back([this] { start_sidecar(); });
      if (std::holds_alternative<SignalProxy>(effect)) CHECK(proxies == 1);
      if (std::holds_alternative<SignalSidecar>(effect)) CHECK(sidecars == 1);
      if (std::holds_alternative<Exit>(effect)) exit_at = now;
      if (const auto* note = std::get_if<Note>(&effect)) {
        INFO("state * 100 + event ", note->number);
        CHECK(note->kind != Note::Kind::kUnexpected);
      }
    }
    out.clear();
    while (!due.empty()) {
      const auto f = due.front();
      due.erase(due.begin());
      f();
    }
  }
  void start_proxy() {
    CHECK(proxies == 0);
    CHECK(stop_at == kNever);
    if (rng.one_in(5)) {
      keeper.on_proxy_failed(now, 127, out);
    } else {
      proxies = 1;
      keeper.on_proxy_started(now, out);
    }
    drain();
  }
  void start_sidecar() {
    CHECK(sidecars == 0);
    if (rng.one_in(5)) {
      keeper.on_sidecar_failed(now, 126, out);
    } else {
      sidecars = 1;
      keeper.on_sidecar_started(now, out);
    }
    drain();
  }
  void step() {
    switch (rng.below(std::uint64_t{8})) {
      case 0:
        if (proxies == 0) break;
        proxies = 0;
        keeper.on_proxy_exit(now, {static_cast<std::int32_t>(rng.below(std::uint64_t{3}))}, out);
        break;
      case 1:
        if (sidecars == 0) break;
        sidecars = 0;
        keeper.on_sidecar_exit(now, {70}, out);
        break;
      case 2:
      case 3:
      case 4: {
        if (looks == 0) break;
        looks = 0;
        auto looked = static_cast<Looked>(rng.below(std::uint64_t{4}));
        // What the shell takes hold of is the one that there is.
        const bool adopts = looked == Looked::kOurs && keeper.would_adopt();
        if (looked == Looked::kOurs && proxies == 0 && !adopts) looked = Looked::kForeign;
        if (adopts) proxies = 1;
        keeper.on_looked(now, looked, out);
        if (adopts) CHECK(keeper.proxy() == Proxy::kServing);
        break;
      }
      case 5: keeper.on_reload_signal(now, out); break;
      case 6:
        if (!rng.one_in(20)) break;
        if (stop_at == kNever) stop_at = now;
        keeper.on_stop_signal(now, rng.one_in(3), out);
        break;
      default:
        now += rng.below(Duration(300ms));
        if (keeper.next_deadline() <= now) keeper.on_deadline(now, out);
        break;
    }
    drain();
  }
};

TEST_CASE("whatever happens, there is one of each, nothing starts in a stop, and a stop ends inside its budget") {
  int requested = 0;
  int by_itself = 0;
  for (std::uint64_t seed = 0; seed < 3000; ++seed) {
    CAPTURE(seed);
    World world(seed);
    world.keeper.start(world.now, world.out);
    world.drain();
    for (int i = 0; i < 20000 && world.exit_at == kNever; ++i) world.step();
    REQUIRE(world.exit_at != kNever);
    world.stop_at == kNever ? ++by_itself : ++requested;
    if (world.stop_at != kNever) CHECK(world.exit_at - world.stop_at <= Duration(5300ms));
  }
  CHECK(requested > 1000);
  CHECK(by_itself > 100);
}

}  // namespace
}  // namespace shoal::keeper
