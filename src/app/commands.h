// The command line from its first word to its exit code: what `shoal ...` prints by itself, and the way to the sidecar
// and the task. Data goes to stdout; errors and warnings go to stderr before anything has started.
#pragma once

namespace shoal::app {

/// Gives the process's exit code. `environment` is as environ: ended by a null pointer.
[[nodiscard]] int run_command(int argc, char** argv, char** environment);

}  // namespace shoal::app
