// sim-sidecar: the sidecar's core against a HAProxy on virtual time, as a program.
//
//   sim-sidecar list                                 the planted faults
//   sim-sidecar swarm --seeds A..B [--plant NAME]    runs whose every option is drawn from the seed
//   sim-sidecar swarm N                              seeds 1 to N, a line for those alone that found something
//   sim-sidecar digests                              what test/sim/sidecar_digests.txt has to hold
//
// --trace WORD prints each line to HAProxy, each change of its tables and each of the core's events that holds the
// word; the word may be empty.
//
// Exit status 0 when all was well, 1 when something was found; then the line that repeats the run stands below it.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "sim/sidecar_digests.h"
#include "sim/sidecar_swarm.h"

namespace shoal::test {
namespace {

double seconds(Duration d) { return static_cast<double>(to_ms(d)) / 1000.0; }

class Tracer final : public WorldObserver {
 public:
  explicit Tracer(std::string word) : word_(std::move(word)) {}
  void on_line(World& world, std::size_t host, haproxy::Stream stream, std::string_view line) override {
    if (line == "show info" && word_ != "show info") return;
    say(world, "-> " + std::to_string(host) + "." + std::to_string(static_cast<int>(stream)) + " " + std::string(line));
  }
  void on_change(World& world, std::size_t host, HaproxyProcess& process, Hand hand, const ModelPool& pool,
                 const ModelServer* before, const ModelServer* after) override {
    const ModelServer& server = after == nullptr ? *before : *after;
    std::string text = "   " + std::to_string(host) + "/" + std::to_string(process.pid()) +
                       (process.stopping ? " (old) " : " ") + pool.name + "/" + server.name + " " + server.address +
                       ":" + std::to_string(server.port);
    text += after == nullptr ? " deleted"
                             : " admin " + std::to_string(server.admin) + " weight " + std::to_string(server.weight) +
                                   " in flight " + std::to_string(server.in_flight());
    say(world, text + (hand == Hand::kShoal ? "" : " by another hand"));
  }
  void on_process_end(World& world, std::size_t host, HaproxyProcess& process) override {
    say(world, "!! " + std::to_string(host) + "/" + std::to_string(process.pid()) + " ends or is reloaded " + word_);
  }
  void on_accepted(World& world, std::size_t start, const announce::Standing&) override {
    say(world, "** accepted " + world.starts()[start].server);
  }
  void on_drained(World& world, std::size_t start, const announce::Standing&) override {
    say(world, "** drained " + world.starts()[start].server);
  }
  void on_told(World& world, std::size_t node) override {
    const Told& told = world.told(node);
    std::string text = "<- " + world.nodes()[node].name + " status " + std::to_string(static_cast<int>(told.status)) +
                       " at " + std::string(to_text(told.addr).view());
    if (told.start == Node::kNoStart) return say(world, text + " has said nothing");
    const Start& start = world.starts()[told.start];
    text += ":" + std::to_string(start.place.port) + " says " + start.pool + "/" + start.server + " seq " +
            std::to_string(told.seq) + " state " + std::to_string(static_cast<int>(told.state));
    say(world, text + (told.needs_word ? " old" : ""));
  }
  void on_core_event(World& world, const sidecar::Event& event) override {
    if (event.kind == sidecar::EventKind::kStandingChanged) return;
    say(world, "== event " + std::to_string(static_cast<int>(event.kind)) + " " + std::string(event.server.view()) +
                   " " + std::string(event.text.view()));
  }

 private:
  void say(World& world, const std::string& text) {
    if ((text + " ").find(word_) == std::string::npos) return;
    std::printf("%11.4f s  %s\n", static_cast<double>((world.now() - Instant{}).count()) / 1e9, text.c_str());
  }
  std::string word_;
};

int usage() {
  std::fprintf(stderr,
               "usage: sim-sidecar list | sim-sidecar swarm N | sim-sidecar swarm --seeds A..B [--plant NAME] "
               "[--trace WORD] | sim-sidecar digests\n");
  return 2;
}

struct Request {
  std::uint64_t first = 1, last = 20;
  const SidecarPlant* plant = nullptr;
  WorldObserver* watch = nullptr;
  bool is_brief = false;
};

bool run(std::uint64_t seed, const Request& request, SidecarOutcome& sum) {
  if (!request.is_brief) {
    std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed), to_text(sidecar_swarm_options(seed)).c_str());
    std::fflush(stdout);  // Before an assertion can end the process.
  }
  const auto start = std::chrono::steady_clock::now();
  const SidecarOutcome outcome = run_sidecar_swarm(seed, request.plant, request.watch);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  sum.lines += outcome.lines;
  sum.requests += outcome.requests;
  sum.accepted += outcome.accepted;
  sum.drained += outcome.drained;
  sum.virtual_time += outcome.virtual_time;
  if (!request.is_brief || !outcome.ok()) {
    std::printf("seed %llu: %s, digest %016llx, %.0f s of virtual time in %.3f s, %llu lines, %llu requests\n",
                static_cast<unsigned long long>(seed), outcome.ok() ? "good" : "BAD",
                static_cast<unsigned long long>(outcome.digest), seconds(outcome.virtual_time), took.count(),
                static_cast<unsigned long long>(outcome.lines), static_cast<unsigned long long>(outcome.requests));
  }
  if (!outcome.ok()) {
    std::printf("  %s\n  again: sim-sidecar swarm --seeds %llu%s%s\n", outcome.failure.c_str(),
                static_cast<unsigned long long>(seed), request.plant == nullptr ? "" : " --plant ",
                request.plant == nullptr ? "" : request.plant->name);
  }
  std::fflush(stdout);
  return outcome.ok();
}

int swarm(const Request& request) {
  std::uint64_t bad = 0;
  SidecarOutcome sum;
  for (std::uint64_t seed = request.first; seed <= request.last; ++seed) bad += run(seed, request, sum) ? 0U : 1U;
  std::printf(
      "%llu of %llu runs found something; %.1f days of virtual time, %llu lines to HAProxy, %llu requests, "
      "%llu times accepted, %llu times drained\n",
      static_cast<unsigned long long>(bad), static_cast<unsigned long long>(request.last - request.first + 1),
      seconds(sum.virtual_time) / 86400.0, static_cast<unsigned long long>(sum.lines),
      static_cast<unsigned long long>(sum.requests), static_cast<unsigned long long>(sum.accepted),
      static_cast<unsigned long long>(sum.drained));
  return bad == 0 ? 0 : 1;
}

int main_of(int argc, char** argv) {
  if (argc < 2) return usage();
  const std::string command = argv[1];
  if (command == "list") {
    for (const SidecarPlant& one : sidecar_plants()) std::printf("plant %-16s %s\n", one.name, one.does);
    return 0;
  }
  if (command == "digests") {
    std::printf("%s", sidecar_digests().c_str());
    return 0;
  }
  if (command != "swarm") return usage();
  Request request;
  std::unique_ptr<Tracer> tracer;
  for (int i = 2; i < argc; ++i) {
    const bool more = i + 1 < argc;
    if (more && std::strcmp(argv[i], "--trace") == 0) tracer = std::make_unique<Tracer>(argv[++i]);
    if (more && std::strcmp(argv[i], "--plant") == 0) {
      request.plant = find_sidecar_plant(argv[++i]);
      if (request.plant == nullptr) return usage();
    }
    if (more && std::strcmp(argv[i], "--seeds") == 0) {
      char* dots = nullptr;
      request.first = request.last = std::strtoull(argv[++i], &dots, 10);
      if (std::strncmp(dots, "..", 2) == 0) request.last = std::strtoull(dots + 2, nullptr, 10);
    }
    if (i == 2 && argv[i][0] >= '1' && argv[i][0] <= '9') {
      request.last = std::strtoull(argv[i], nullptr, 10);
      request.is_brief = true;
    }
  }
  request.watch = tracer.get();
  return swarm(request);
}

}  // namespace
}  // namespace shoal::test

int main(int argc, char** argv) { return shoal::test::main_of(argc, argv); }
