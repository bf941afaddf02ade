// What /proc says about other processes. Every question may find the process gone, or /proc not mounted or not
// readable: the answer is then the empty one. Called rarely, at starts and signals.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace shoal::reactor {

/// Calls `f` with each entry of the directory whose name is a number: processes in /proc, descriptors in /proc/PID/fd.
/// False when it cannot be read.
bool each_number_in(const std::string& directory, const std::function<void(int)>& f);

/// 0 when unknown, or when the parent is outside our pid namespace.
[[nodiscard]] pid_t parent_of(pid_t pid);
[[nodiscard]] std::vector<pid_t> children_of(pid_t pid);
/// Both run the same executable file.
[[nodiscard]] bool same_program(pid_t one, pid_t other);
/// It was executed with this "NAME=VALUE" in its environment.
[[nodiscard]] bool was_given_variable(pid_t pid, std::string_view variable);

/// This very program again, whatever became of its file: a path for SpawnOptions::program.
[[nodiscard]] const char* own_program();
/// What ps and top show, at most 15 bytes.
void set_process_name(const char* name);

}  // namespace shoal::reactor
