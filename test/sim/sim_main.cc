// sim: the simulator as a program.
//
//   sim list                                 the scenarios, and what each shows
//   sim scenario NAME [--seed N]             one of them; NAME may be "all"
//   sim swarm --seeds A..B [--plant NAME]    runs whose every option is drawn from the seed; with a planted fault
//   sim digests                              what test/sim/digests.txt has to hold
//
// Scenario and swarm take --news (each event about a member) and --trace WORD (also each part of a datagram that holds
// the word).
//
// Exit status 0 when all was well, 1 when something was found; then the line that repeats the run stands last.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "sim/digests.h"
#include "sim/plants.h"
#include "sim/scenarios.h"
#include "sim/swarm.h"
#include "support/gossip_trace.h"

namespace shoal::test {
namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

int usage() {
  std::fprintf(
      stderr,
      "usage: sim list | sim scenario NAME|all [--seed N] | sim swarm --seeds A..B [--plant NAME] | sim digests\n");
  return 2;
}

bool print(const std::string& what, const std::string& again, const Outcome& outcome, double seconds) {
  std::printf("%s: %s, digest %016llx, %.0f s of virtual time in %.2f s, %llu datagrams\n", what.c_str(),
              outcome.ok() ? "good" : "BAD", static_cast<unsigned long long>(outcome.digest),
              static_cast<double>(to_ms(outcome.virtual_time)) / 1000.0, seconds,
              static_cast<unsigned long long>(outcome.packets));
  if (!outcome.ok()) std::printf("  %s\n  again: %s\n", outcome.failure.c_str(), again.c_str());
  std::fflush(stdout);
  return outcome.ok();
}

double seconds(Instant at) { return static_cast<double>(to_ms(at - Instant{})) / 1000.0; }

/// Prints each part of a datagram that holds a word, and each event about it.
class Tracer final : public Observer {
 public:
  explicit Tracer(std::string word) : word_(std::move(word)) {}
  void on_datagram(Cluster& cluster, std::size_t from, const Endpoint& to, Bytes datagram) override {
    for (const std::string& line : opened(datagram).parts) {
      if ((" " + line + " ").find(" " + word_ + " ") == std::string::npos) continue;
      std::printf("%10.3f s  %s -> %s: %s\n", seconds(cluster.now()), cluster.life(from).name.c_str(),
                  std::string(to_text(to).view()).c_str(), line.c_str());
    }
  }
  void on_member_event(Cluster& cluster, std::size_t node, serf::MemberEventKind kind,
                       std::string_view about) override {
    if (word_ != "" && about != word_) return;
    std::printf("%10.3f s  %s: %s %s\n", seconds(cluster.now()), cluster.life(node).name.c_str(),
                std::string(serf::to_text(kind)).c_str(), std::string(about).c_str());
  }

 private:
  std::string word_;
};

struct Request {
  std::uint64_t seed = 1, first = 1, last = 20;
  const Plant* plant = nullptr;
  Observer* watch = nullptr;
};

bool scenario(const Scenario& one, const Request& request) {
  std::printf("scenario %s, seed %llu\n", one.name, static_cast<unsigned long long>(request.seed));
  std::fflush(stdout);  // Before an assertion can end the process.
  const auto start = std::chrono::steady_clock::now();
  const Outcome outcome = run_scenario(one, request.seed, {request.watch, nullptr});
  return print(one.name, "sim scenario " + std::string(one.name) + " --seed " + std::to_string(request.seed), outcome,
               seconds_since(start));
}

bool swarm(std::uint64_t seed, const Plant* plant, const Request& request) {
  std::printf("swarm seed %llu: %s\n", static_cast<unsigned long long>(seed), to_text(swarm_options(seed)).c_str());
  std::fflush(stdout);
  const auto start = std::chrono::steady_clock::now();
  const Outcome outcome = run_swarm(seed, plant, request.watch);
  const std::string number = std::to_string(seed);
  const std::string planted = plant == nullptr ? "" : " --plant " + std::string(plant->name);
  return print("swarm seed " + number, "sim swarm --seeds " + number + planted, outcome, seconds_since(start));
}

int main_of(int argc, char** argv) {
  if (argc < 2) return usage();
  const std::string command = argv[1];
  Request request;
  std::unique_ptr<Tracer> tracer;
  for (int i = 2; i < argc; ++i) {
    const bool more = i + 1 < argc;
    if (more && std::strcmp(argv[i], "--seed") == 0) request.seed = std::strtoull(argv[i + 1], nullptr, 10);
    if (more && std::strcmp(argv[i], "--trace") == 0) tracer = std::make_unique<Tracer>(argv[i + 1]);
    if (more && std::strcmp(argv[i], "--plant") == 0) request.plant = find_plant(argv[i + 1]);
    if (more && std::strcmp(argv[i], "--seeds") == 0) {
      char* dots = nullptr;
      request.first = request.last = std::strtoull(argv[i + 1], &dots, 10);
      if (std::strncmp(dots, "..", 2) == 0) request.last = std::strtoull(dots + 2, nullptr, 10);
    }
    if (std::strcmp(argv[i], "--news") == 0) tracer = std::make_unique<Tracer>("");
  }
  request.watch = tracer.get();
  if (command == "list") {
    for (const Scenario& one : scenarios()) std::printf("%-26s %s\n", one.name, one.shows);
    for (const Plant& one : plants()) std::printf("plant %-20s %s\n", one.name, one.does);
    return 0;
  }
  if (command == "scenario" && argc >= 3) {
    const std::string name = argv[2];
    bool good = true;
    for (const Scenario& one : scenarios()) {
      if (name == "all" || name == one.name) good = scenario(one, request) && good;
    }
    if (name != "all" && find_scenario(name) == nullptr) return usage();
    return good ? 0 : 1;
  }
  if (command == "digests") {
    std::printf("%s", digests().c_str());
    return 0;
  }
  if (command == "swarm") {
    std::uint64_t bad = 0;
    for (std::uint64_t seed = request.first; seed <= request.last; ++seed) {
      bad += swarm(seed, request.plant, request) ? 0U : 1U;
    }
    std::printf("%llu of %llu runs found something\n", static_cast<unsigned long long>(bad),
                static_cast<unsigned long long>(request.last - request.first + 1));
    return bad == 0 ? 0 : 1;
  }
  return usage();
}

}  // namespace
}  // namespace shoal::test

int main(int argc, char** argv) { return shoal::test::main_of(argc, argv); }
