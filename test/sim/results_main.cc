// sim-results: writes docs/gossip-results.md to standard output. `sim-results PART...` makes only these parts of it:
// detection dissemination load lifeguard leave scale. --quick: a tenth of the trials.
//
// What it writes depends on the seeds alone, but for times and memory under "scale".
#include <sys/resource.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

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
      "independent members with one chance in n - 1 each a period); 1.58 counts the begun period as a whole, and is "
      "its\n"
      "mean rounded up. The probe then takes its own period to fail, and the suspicion lasts\n"
      "`4 x max(1, log10 n)` s once two more members have confirmed it. Seconds; period 1 s; LAN profile.\n\n"
      "| n | trials | wait for the failing probe: mean | the same in whole periods | first suspicion: mean, p90 | "
      "shortest suspicion | first `failed`: mean, p90 | `failed` everywhere: mean, p90 "
      "|\n|---|---|---|---|---|---|---|---|\n");
  constexpr struct {
    std::size_t nodes;
    int trials;
  } kRows[] = {{8, 200}, {32, 200}, {128, 50}, {512, 20}};
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
      "\n    sim-results detection      seeds 1000 and up; from 128 members on, ten crashes in one cluster\n\n");
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
  std::printf("\n    sim-results dissemination  seeds 2000 and up\n\n");
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
  std::printf("\n    sim-results load           seed 3000\n\n");
}

void lifeguard_part() {
  std::printf(
      "## What Lifeguard's parts do against false positives\n\n"
      "As in Dadgar, Phillips, Currey 2018: suspicion multiplier 5, maximum 6 times the minimum, K = 3. Of 64 members, "
      "C\n"
      "stand still together for D seconds, run 64 ms, and stand still again, for 120 s; then a minute of peace. "
      "Counted\n"
      "is each verdict `failed` about a member that never stood still: at all members, and (healthy) at those that "
      "never\n"
      "did. LHA-Probe off: awareness_max 1. LHA-Suspicion off: suspicion_max_mult 1. Buddy off: "
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
        for (int seed = 0; seed < trials(10) / 5; ++seed) {
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
      "\n    sim-results lifeguard      C = 4, 8, 16, 24; D = 4, 8, 16 s; seeds 4000 and 4001 each\n\n"
      "Where ours differs from the paper's set-up, and so the ratios: 64 members instead of 128, and fewer "
      "combinations of\n"
      "C and D; a member that stands still does nothing at all, where the paper's processes go on computing and only "
      "their\n"
      "sending and receiving blocks; a suspicion that somebody has confirmed is gossiped on in all rows, since "
      "memberlist\n"
      "has no switch for that; and a member that still suspects what was refuted is contradicted, here, to its "
      "face.\n\n");
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
  std::printf("\n    sim-results leave          seeds 5000 and up\n\n");
}

void scale_part(std::size_t nodes) {
  const auto start = std::chrono::steady_clock::now();
  Rested rested(6000, nodes, swim::lan_timing());
  const auto met = std::chrono::steady_clock::now();
  const Instant at = rested.cluster.now();
  rested.cluster.run_for(60s);
  const auto end = std::chrono::steady_clock::now();
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::printf("| %zu | %s | %.0f | %.0f | %.0f | %.1f | %.2f | %.2f |\n", nodes, rested.good ? "yes" : "NO",
              static_cast<double>(to_ms(at - Instant{})) / 1000.0, std::chrono::duration<double>(met - start).count(),
              std::chrono::duration<double>(end - met).count(), static_cast<double>(rested.cluster.steps) / 1e6,
              static_cast<double>(usage.ru_maxrss) / 1048576.0,
              static_cast<double>(usage.ru_maxrss) * 1024 / static_cast<double>(nodes * nodes) / 1000.0);
  std::fflush(stdout);
}

int main_of(int argc, char** argv) {
  const auto wanted = [&](const char* part) {
    bool any = false, this_one = false;
    for (int i = 1; i < argc; ++i) {
      any = any || argv[i][0] != '-';
      this_one = this_one || std::strcmp(argv[i], part) == 0;
    }
    return this_one || !any;
  };
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--quick") == 0) trials_divisor = 10;
    if (std::strcmp(argv[i], "scale") == 0 && i + 1 < argc) {
      scale_part(std::strtoull(argv[i + 1], nullptr, 10));
      return 0;
    }
  }
  if (wanted("detection")) detection_part();
  if (wanted("dissemination")) dissemination_part();
  if (wanted("load")) load_part();
  if (wanted("lifeguard")) lifeguard_part();
  if (wanted("leave")) leave_part();
  return 0;
}

}  // namespace
}  // namespace shoal::test

int main(int argc, char** argv) { return shoal::test::main_of(argc, argv); }
