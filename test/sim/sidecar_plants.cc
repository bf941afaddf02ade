#include "sim/sidecar_plants.h"

#include <algorithm>
#include <map>
#include <memory>

namespace shoal::test {
namespace {

/// Replaces a text by one of the same length, wherever it stands in one piece.
void replace(std::string& bytes, std::string_view from, std::string_view to) {
  for (std::size_t at = 0; (at = bytes.find(from, at)) != std::string::npos; at += to.size()) {
    bytes.replace(at, from.size(), to);
  }
}

bool starts_with(std::string_view text, std::string_view with) { return text.substr(0, with.size()) == with; }

/// Says a line of its own after each line of the core's that begins and ends so: `make(the server)`.
void after_each(World& world, std::string_view begin, std::string_view end, Duration wait,
                std::string (*make)(const std::string& server)) {
  world.after_line = [&world, begin, end, wait, make](std::size_t host, std::string_view line) {
    if (!starts_with(line, begin) || line.size() < begin.size() + end.size()) return;
    if (line.substr(line.size() - end.size()) != end) return;
    line.remove_prefix(begin.size());
    const std::string server(line.substr(0, line.find(' ')));
    world.timeline().after(wait, [&world, host, server, make] { world.say_as_core(host, make(server)); });
  };
}

void early_delete(World& world) {
  after_each(world, "set server ", " state maint", 3s,
             [](const std::string& server) { return "del server " + server; });
}

void old_process(World& world) {
  // Whatever process answers, it says that it is the one that was known first, and that it goes on.
  world.tamper_answers = [&world, first = std::map<std::size_t, std::string>()](std::size_t host, haproxy::Stream,
                                                                                std::string& bytes) mutable {
    replace(bytes, "Stopping: 1", "Stopping: 0");
    const HaproxyProcess* live = world.host(host).live();
    if (live == nullptr) return;
    const std::string pid = std::to_string(live->pid());
    std::string& known = first.emplace(host, pid).first->second;
    replace(bytes, "Pid: " + pid, "Pid: " + known);
    const std::size_t start = bytes.find("Start_time_sec: ");
    if (start != std::string::npos && start + 26 <= bytes.size()) bytes.replace(start + 16, 10, "1795235379");
  };
}

void slow_facts(WorldOptions& options) { options.word_first_max = 15s; }

void strays_at_once(World& world) {
  struct Hasty final : WorldObserver {
    void on_second(World& world) override {
      if (!world.sidecar_runs() || world.now() - world.sidecar_started() > 5s) return;
      for (const Start& start : world.starts()) {
        const bool has_word = world.told(start.node).start != Node::kNoStart;
        HaproxyProcess* live = world.host(0).live();
        const ModelServer* server = live == nullptr ? nullptr : live->find(start.pool, start.server);
        if (has_word || server == nullptr || !server->serves()) continue;
        return world.say_as_core(0, "set server " + start.pool + "/" + start.server + " weight 0");
      }
    }
  };
  static Hasty hasty;
  world.observe(hasty);
}

void no_flight(World& world) {
  // Every counter of a server reads 0.
  world.tamper_answers = [](std::size_t, haproxy::Stream, std::string& bytes) {
    if (bytes.find("# pxname,") == std::string::npos) return;
    for (std::size_t at = bytes.find("\nweb,shoal-"); at != std::string::npos;
         at = bytes.find("\nweb,shoal-", at + 1)) {
      std::size_t column = at;
      for (int i = 0; i < 5 && column != std::string::npos; ++i) {
        column = bytes.find(',', column + 1);
        const bool is_count = i == 1 || i == 3;  // qcur and scur stand third and fifth.
        if (is_count && column + 1 < bytes.size()) bytes[column + 1] = '0';
      }
    }
  };
}

void add_is_enough(World& world) {
  // Accepted as soon as the server is known, whatever HAProxy has.
  world.tamper_standing = [](std::size_t, announce::Standing& standing) {
    if (standing.proxies_up > 0) standing.in_rotation = true;
  };
}

void deaf(World& world) {
  world.hears = [&world](std::size_t start) { return world.starts()[start].node % 4 != 1; };
}

void overrules(World& world) {
  // Once a second each server that somebody holds is enabled.
  struct Busy final : WorldObserver {
    void on_second(World& world) override {
      for (std::size_t host = 0; host < world.hosts(); ++host) {
        HaproxyProcess* live = world.host(host).live();
        if (live == nullptr) continue;
        for (const ModelPool& pool : live->pools()) {
          for (const ModelServer& server : pool.servers) {
            const bool is_held = world.is_ours(server.name) && server.admin != 0 && server.weight > 0;
            const bool is_old = server.touched_by_operator != kNever && world.now() - server.touched_by_operator > 15s;
            if (is_held && is_old) return world.say_as_core(host, "enable server " + pool.name + "/" + server.name);
          }
        }
      }
    }
  };
  static Busy busy;
  world.observe(busy);
}

void foreign(World& world) {
  after_each(world, "set server ", " state maint", 1ms,
             [](const std::string&) { return std::string("set server api/always weight 0"); });
}

void injected(World& world) {
  after_each(world, "enable server ", "", 1ms,
             [](const std::string& server) { return "enable server " + server + ";show env"; });
}

void spins(WorldOptions& options) { options.core.session.watch_interval = 1ms; }

void takes_out(World& world) {
  after_each(world, "set server ", " weight 100", 12s,
             [](const std::string& server) { return "set server " + server + " weight 0"; });
}

void slot_given_early(World& world) {
  after_each(world, "set server api/", " state maint", 1ms,
             [](const std::string& server) { return "set server api/" + server + " addr 10.9.9.9 port 99"; });
}

// clang-format off
constexpr SidecarPlant kPlants[] = {
    {"early-delete", "a server is deleted three seconds after its maintenance", "ms in maintenance|while a request is in flight", nullptr, early_delete},
    {"old-process", "what a reload left behind is taken for the present process", "no convergence|not in rotation|still said|drained", nullptr, old_process},
    {"strays-at-once", "a server without a word is taken out at once after the sidecar's start", "before the facts are complete", slow_facts, strays_at_once},
    {"no-flight", "requests in flight are read as none", "requests are in flight|a request is in flight", nullptr, no_flight},
    {"add-is-enough", "accepted is said before HAProxy has the server in rotation", "accepted, but", nullptr, add_is_enough},
    {"deaf", "the words of some tasks are lost", "no convergence", nullptr, deaf},
    {"overrules", "what an operator holds is enabled", "operator's mark", nullptr, overrules},
    {"foreign", "a static server is taken out", "not ours", nullptr, foreign},
    {"injected", "a line holds a second command", "not one clean line", nullptr, injected},
    {"spins", "HAProxy is asked a thousand times a second", "lines in a second", spins, nullptr},
    {"slot-given-early", "a slot gets another address while its last requests run", "a slot is given to another task", nullptr, slot_given_early},
    {"takes-out", "a ready task's server loses its weight", "ready task's server is taken out", nullptr, takes_out},
};
// clang-format on

}  // namespace

std::span<const SidecarPlant> sidecar_plants() { return kPlants; }

const SidecarPlant* find_sidecar_plant(std::string_view name) {
  for (const SidecarPlant& plant : kPlants) {
    if (name == plant.name) return &plant;
  }
  return nullptr;
}

bool found(const SidecarPlant& plant, std::string_view failure) {
  std::string_view words = plant.found_as;
  while (!words.empty()) {
    const std::size_t bar = std::min(words.find('|'), words.size());
    if (failure.find(words.substr(0, bar)) != std::string_view::npos) return true;
    words.remove_prefix(std::min(bar + 1, words.size()));
  }
  return false;
}

}  // namespace shoal::test
