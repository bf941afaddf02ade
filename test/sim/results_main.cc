// sim-results: writes docs/gossip-results.md to standard output. `sim-results PART...` makes only these parts of it:
// detection dissemination load lifeguard leave scale crowd [N...]. --quick: a tenth of the trials.
//
// What it writes depends on the seeds alone, but for times and memory under "scale".
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>

#include "sim/crowd.h"
#include "sim/results.h"

namespace shoal::test {
namespace {

int trials_divisor = 1;
int trials(int full) { return std::max(2, full / trials_divisor); }

void detection_part() {
  std::printf(
      "## How soon a crash is noticed\n\n"
      "SWIM (Das, Gupta, Motivala 2002): where all probe in step, the first probe of a crashed member is expected in "
      "the\n"
      "e/(e-1) = 1.58th period, whatever the number of members. Here the members' ticks are spread evenly and the "
      "crash\n"
      "falls anywhere, so the wait for the first probe that fails is 1 period in the mean (exponential, the sum of n - "
      "1\n"
      "independent members with one chance in n - 1 each a period); 1.58 is the mean of that wait\n"
      "where a begun period counts as a whole. The probe then takes its own period to fail, and the suspicion lasts\n"
      "`4 x max(1, log10 n)` s once two more members have confirmed it. Seconds; period 1 s; LAN profile.\n\n"
      "| n | trials | wait for the failing probe: mean | the same in whole periods | first suspicion: mean, p90 | "
      "shortest suspicion | first `failed`: mean, p90 | `failed` everywhere: mean, p90 "
      "|\n|---|---|---|---|---|---|---|---|\n");
  constexpr struct {
    std::size_t nodes;
    int trials;
  } kRows[] = {{8, 200}, {32, 200}, {128, 200}, {512, 100}};
  for (const auto& row : kRows) {
    const Detection d = detection(row.nodes, trials(row.trials), 1000);
    Sample whole;
    for (const double wait : d.first_probe.values) whole.add(std::ceil(std::max(wait, 1e-9)));
    std::printf("| %zu | %zu | %.2f | %.2f | %.2f, %.2f | %.2f | %.2f, %.2f | %.2f, %.2f |\n", row.nodes,
                d.first_probe.values.size(), d.first_probe.mean(), whole.mean(), d.first_suspicion.mean(),
                d.first_suspicion.quantile(0.9), 4 * std::max(1.0, std::log10(static_cast<double>(row.nodes))),
                d.first_failed.mean(), d.first_failed.quantile(0.9), d.all_failed.mean(), d.all_failed.quantile(0.9));
    std::fflush(stdout);
  }
  std::printf(
      "\nMade by `sim-results detection`: seeds 1000 and up; from 128 members on, ten crashes in one cluster\n\n");
}

/// The first gossip round at which serf's own formula has that part of N converged (facts 10.3), in seconds.
double formula(std::size_t nodes, double part) {
  const auto n = static_cast<double>(nodes);
  const double c = 3.0 / n * 0.5;
  for (int round = 1; round <= 100; ++round) {
    if (1.0 / (1.0 + (n + 1) * std::exp(-c * n * round)) >= part) return 0.2 * round;
  }
  return 0;
}

void dissemination_part() {
  std::printf(
      "## How soon news is everywhere\n\n"
      "One member changes its tags; seconds until half, 99 %% and all of the others have them, in the median of the\n"
      "trials. Beside it the formula of serf's convergence simulator, `1 / (1 + (N+1) e^(-c N x))` with\n"
      "`c = 3/N x 0.5` and a round of 0.2 s: it lets a round be half as good as the fan-out. Nobody is told more than\n"
      "`4 ceil(log10(n+1))` times by each, so a few are missed; they hear by push/pull.\n\n"
      "| n | trials | half | formula | 99 %% | formula | all (of complete runs) | runs not complete in 10 s | missed, "
      "ppm |\n|---|---|---|---|---|---|---|---|---|\n");
  constexpr struct {
    std::size_t nodes;
    int trials;
  } kRows[] = {{8, 100}, {32, 100}, {128, 50}, {512, 20}};
  for (const auto& row : kRows) {
    const Dissemination d = dissemination(row.nodes, trials(row.trials), 2000);
    std::printf("| %zu | %d | %.2f | %.1f | %.2f | %.1f | %.2f | %d | %.0f |\n", row.nodes, trials(row.trials),
                d.half.quantile(0.5), formula(row.nodes, 0.5), d.most.quantile(0.5), formula(row.nodes, 0.99),
                d.all.quantile(0.5), d.incomplete, d.missed_ppm);
    std::fflush(stdout);
  }
  std::printf("\nMade by `sim-results dissemination`: seeds 2000 and up\n\n");
}

void load_part() {
  std::printf(
      "## What a member sends at rest\n\n"
      "SWIM: a ping and an ack a member and period, whatever n. Push/pulls go over TCP and are not counted; bytes are "
      "UDP\n"
      "payload. The ack carries the Vivaldi coordinate.\n\n"
      "| n | datagrams a member and second | bytes a member and second |\n|---|---|---|\n");
  for (const std::size_t nodes : {8, 32, 128, 512}) {
    const Load l = load(nodes, 3000);
    std::printf("| %zu | %.3f | %.0f |\n", nodes, l.datagrams, l.bytes);
    std::fflush(stdout);
  }
  std::printf("\nMade by `sim-results load`: seed 3000\n\n");
}

void lifeguard_part() {
  std::printf(
      "## What Lifeguard's parts do against false positives\n\n"
      "After Dadgar, Phillips, Currey 2018: suspicion multiplier 5, maximum 6 times the minimum, K = 3. Of 64 members, "
      "C\n"
      "cannot send or receive for D seconds, all together, are free for 64 ms, and block again, for 120 s; then a "
      "minute\n"
      "of peace. Counted is each verdict `failed` about a member that never blocked: at all members, and (healthy) at\n"
      "those that never did. LHA-Probe off: awareness_max 1. LHA-Suspicion "
      "off: suspicion_max_mult 1. Buddy off: "
      "swim::Options::buddy.\n\n"
      "| configuration | verdicts at all | %% of SWIM | at the healthy | %% of SWIM | datagrams %% | bytes %% | "
      "paper: all %%, healthy %% |\n|---|---|---|---|---|---|---|---|\n");
  constexpr Lifeguard kParts[] = {{"SWIM", false, false, false},
                                  {"LHA-Probe", true, false, false},
                                  {"LHA-Suspicion", false, true, false},
                                  {"Buddy system", false, false, true},
                                  {"all (as shipped)", true, true, true}};
  constexpr const char* kPaper[] = {"100, 100", "67.72, 32.88", "3.00, 6.71", "94.08, 44.57", "1.53, 1.89"};
  FalsePositives base;
  for (std::size_t i = 0; i < 5; ++i) {
    FalsePositives sum;
    for (const std::size_t anomalous : {4, 8, 16, 24}) {
      for (const auto pause : {Duration(4s), Duration(8s), Duration(16s)}) {
        for (int seed = 0; seed < std::max(1, trials(10) / 10); ++seed) {
          Anomalies anomalies;
          anomalies.anomalous = anomalous;
          anomalies.pause = pause;
          const FalsePositives one = false_positives(kParts[i], anomalies, 4000 + static_cast<std::uint64_t>(seed));
          sum.all += one.all;
          sum.healthy += one.healthy;
          sum.datagrams += one.datagrams;
          sum.bytes += one.bytes;
        }
      }
    }
    if (i == 0) base = sum;
    const auto percent = [](std::uint64_t part, std::uint64_t whole) {
      return whole == 0 ? 0.0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole);
    };
    std::printf("| %s | %llu | %.2f | %llu | %.2f | %.1f | %.1f | %s |\n", kParts[i].name,
                static_cast<unsigned long long>(sum.all), percent(sum.all, base.all),
                static_cast<unsigned long long>(sum.healthy), percent(sum.healthy, base.healthy),
                percent(sum.datagrams, base.datagrams), percent(sum.bytes, base.bytes), kPaper[i]);
    std::fflush(stdout);
  }
  std::printf(
      "\nMade by `sim-results lifeguard`: C = 4, 8, 16, 24; D = 4, 8, 16 s; seed 4000\n\n"
      "Where ours differs from the paper, and the ratios with it. 64 members for 128, and few of the paper's "
      "combinations.\n"
      "A blocked member of ours goes on to begin a probe a period and to reach verdicts, and tells all of them when it "
      "is\n"
      "free; memberlist's prober and gossip wait in their first send. So far more verdicts reach the healthy here, "
      "and\n"
      "LHA-Probe, which slows the prober of a member in doubt, has more to take away. A confirmed suspicion is "
      "gossiped on\n"
      "in all rows, since there is no switch for that. In all rows, too, a suspicion that was refuted is contradicted "
      "to\n"
      "its face, and one of a later incarnation begins anew. What agrees is the order: each part helps or does no "
      "harm,\n"
      "and all of them together take away nearly everything.\n\n");
}

void leave_part() {
  std::printf(
      "## Who is called failed for a moment while leaving\n\n"
      "A leaver gossips its intent and then its death. Where the death comes first, a member calls it failed until "
      "the\n"
      "intent arrives; serf's own agents do the same. The end is `left` at all.\n\n"
      "| n | leaves | verdicts | failed first, %% | until the leaver may end, s: mean, p90 |\n|---|---|---|---|---|\n");
  for (const std::size_t nodes : {4, 8, 16, 32, 64}) {
    const Leaves l = leaves(nodes, trials(40), 5000);
    std::printf("| %zu | %d | %llu | %.1f | %.2f, %.2f |\n", nodes, trials(40),
                static_cast<unsigned long long>(l.verdicts),
                100.0 * static_cast<double>(l.failed_first) / static_cast<double>(l.verdicts), l.seconds.mean(),
                l.seconds.quantile(0.9));
    std::fflush(stdout);
  }
  std::printf("\nMade by `sim-results leave`: seeds 5000 and up\n\n");
}

double gib(double bytes) { return bytes / (1024.0 * 1024.0 * 1024.0); }
double resident_most() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) * 1024;
}

/// One row, in a process of its own, so that the memory is its own.
void scale_row(std::size_t nodes) {
  std::fflush(stdout);
  const pid_t child = fork();
  if (child != 0) {
    int status = 0;
    waitpid(child, &status, 0);
    return;
  }
  const auto start = std::chrono::steady_clock::now();
  Rested rested(6000, nodes, swim::lan_timing());
  const auto met = std::chrono::steady_clock::now();
  const Instant at = rested.cluster.now();
  rested.cluster.run_for(60s);
  const auto end = std::chrono::steady_clock::now();
  const double bytes = resident_most();
  std::printf("| %zu | %s | %.0f | %.0f | %.0f | %.2f | %.2f |\n", nodes, rested.good ? "yes" : "NO",
              static_cast<double>(to_ms(at - Instant{})) / 1000.0, std::chrono::duration<double>(met - start).count(),
              std::chrono::duration<double>(end - met).count(), gib(bytes),
              bytes / static_cast<double>(nodes * nodes) / 1000.0);
  std::fflush(stdout);
  std::_Exit(0);
}

/// One row, in a process of its own, so that the memory is its own.
void crowd_row(std::size_t nodes) {
  std::fflush(stdout);
  const pid_t child = fork();
  if (child != 0) {
    int status = 0;
    waitpid(child, &status, 0);
    if (!WIFEXITED(status)) std::printf("| %zu | killed |\n", nodes);
    return;
  }
  CrowdPlan plan;
  plan.nodes = nodes;
  plan.views_one_in = std::max<std::size_t>(1, nodes / 100);
  plan.packets_one_in = 100;
  const auto seconds = [] { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; };
  const double start = seconds();
  double met = start;
  double met_bytes = 0;
  const Crowd seen = crowd(plan, 7000, [&] {
    met = seconds();
    met_bytes = resident_most();
  });
  const double bytes = resident_most();
  std::printf("| %zu | %s | %.1f | %.1f | %.1f | %.1f | %.0f | %.0f | %.0f | %.2f | %.2f | %.0f |\n", nodes,
              seen.wrong.empty() ? "yes" : seen.wrong.c_str(), seen.failed, seen.joined, seen.left, seen.changed,
              seen.virtual_seconds, met - start, seconds() - met, gib(met_bytes), gib(bytes),
              bytes / static_cast<double>(nodes * nodes));
  std::fflush(stdout);
  std::_Exit(0);
}

void crowd_part(const std::vector<std::size_t>& sizes) {
  std::printf(
      "## Ten thousand\n\n"
      "A cluster that has met (each node was told of all by one push/pull), 20 s later ten members crash, ten leave, "
      "ten\n"
      "change their tags and ten come, at once. Seconds until the last member has seen the last of each; then every "
      "view of\n"
      "every member is compared with the truth. Nobody else may be called failed. Processor seconds are of one core; "
      "ten\n"
      "thousand take 16 GB of memory.\n\n"
      "| n | all as it must be | crashes seen | joins | leaves | tags | virtual s in all | CPU s to fill the tables | "
      "CPU s for the rest | GiB filled | GiB at most | bytes a pair "
      "|\n|---|---|---|---|---|---|---|---|---|---|---|---|\n");
  for (const std::size_t nodes : sizes) crowd_row(nodes);
  std::printf("\nMade by `sim-results crowd 1000 10000`: seed 7000\n\n");
}

void scale_part(const std::vector<std::size_t>& sizes) {
  std::printf(
      "## How large a cluster the simulator holds\n\n"
      "Every node knows every other: n x n records of swim, the same of serf, a queued message each while they meet.\n"
      "Real seconds are of one core of a busy two-core machine, and vary; memory is resident.\n\n"
      "| n | all met | virtual s until rest | real s for it | real s for a minute at rest | GiB | kB a pair |\n"
      "|---|---|---|---|---|---|---|\n");
  for (const std::size_t nodes : sizes) scale_row(nodes);
  std::printf(
      "\nMade by `sim-results scale 128 256 512 1000`: seed 6000\n\n"
      "What grows faster than memory is the time: in a cluster that comes up each node hears of each other one some "
      "twenty\n"
      "times. `crowd` has 10,000.\n\n");
}

int main_of(int argc, char** argv) {
  std::vector<std::size_t> sizes;
  const auto wanted = [&](const char* part) {
    bool any = false, this_one = false;
    for (int i = 1; i < argc; ++i) {
      any = any || (argv[i][0] != '-' && argv[i][0] > '9');
      this_one = this_one || std::strcmp(argv[i], part) == 0;
    }
    return this_one || !any;
  };
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--quick") == 0) trials_divisor = 10;
    if (argv[i][0] >= '0' && argv[i][0] <= '9') sizes.push_back(std::strtoull(argv[i], nullptr, 10));
  }
  const bool everything = argc == 1 || (argc == 2 && trials_divisor > 1);
  if (everything) {
    std::printf(
        "# Gossip: what our cores do, beside what is published\n\n"
        "Written by `sim-results` (test/sim): whole clusters of the program's own cores on virtual time, LAN profile, "
        "0.2 to\n"
        "2 ms between any two, nothing lost unless said. The same seeds give the same figures; those of the last "
        "two sections\n"
        "are a machine's. Anew: `build/test/sim/sim-results > docs/gossip-results.md` (half an hour, and 13 GiB for "
        "the last\n"
        "part); each part alone by the command below it, a tenth of the trials with `--quick`. A small sample of each "
        "is\n"
        "asserted by the test "
        "`sim-results`.\n\n");
  }
  if (wanted("detection")) detection_part();
  if (wanted("dissemination")) dissemination_part();
  if (wanted("load")) load_part();
  if (wanted("lifeguard")) lifeguard_part();
  if (wanted("leave")) leave_part();
  if (wanted("scale")) scale_part(sizes.empty() ? std::vector<std::size_t>{128, 256, 512, 1000} : sizes);
  if (wanted("crowd")) crowd_part(sizes.empty() ? std::vector<std::size_t>{1000, 10'000} : sizes);
  return 0;
}

}  // namespace
}  // namespace shoal::test

int main(int argc, char** argv) { return shoal::test::main_of(argc, argv); }
