/* A worker that needs nothing but the kernel: linked statically it serves in an empty root as well.
 *
 *     pid1_worker [orphans=N] [tree] [deaf] [status=N] [signal=N] [mute] [stops_parent]
 *
 * Answers each connection on descriptor 3 with 200, writes "signal N" for what it is sent, and ends with 0 on SIGTERM.
 *   orphans=N      leaves N grandchildren behind whose parents are gone; each ends after 100 ms
 *   tree           has a child and a grandchild in a session of its own, both deaf to SIGTERM, for ever
 *   deaf           goes on after SIGTERM
 *   status=N       ends by itself with that status, signal=N by that signal, after 300 ms
 *   mute           never accepts
 *   stops_parent   sends its parent SIGTERM when it gets SIGUSR2
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int deaf, stops_parent;

static void on_signal(int number) {
  char text[] = "signal 00\n";
  text[7] = (char)('0' + number / 10);
  text[8] = (char)('0' + number % 10);
  if (write(1, text, sizeof text - 1) < 0) _exit(9);
  if (number == SIGTERM && !deaf) _exit(0);
  if (number == SIGUSR2 && stops_parent) kill(getppid(), SIGTERM);
}

static void leave_orphan(void) {
  const pid_t parent = fork();
  if (parent == 0) {
    if (fork() == 0) usleep(100 * 1000);
    _exit(0);
  }
  waitpid(parent, NULL, 0);
}

static void have_a_tree(void) {
  if (fork() != 0) return;
  signal(SIGTERM, SIG_IGN);
  close(3);
  if (fork() == 0) setsid();
  for (;;) pause();
}

static void answer(void) {
  static const char kAnswer[] = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n";
  char request[4096];
  const int connection = accept(3, NULL, NULL);
  if (connection < 0) return;
  if (read(connection, request, sizeof request) > 0 && write(connection, kAnswer, sizeof kAnswer - 1) < 0) perror("write");
  close(connection);
}

int main(int argc, char** argv) {
  static const int kSignals[] = {SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH};
  int status = -1, by_signal = 0, mute = 0, orphans = 0, tree = 0;
  for (int i = 1; i < argc; ++i) {
    sscanf(argv[i], "orphans=%d", &orphans);
    sscanf(argv[i], "status=%d", &status);
    sscanf(argv[i], "signal=%d", &by_signal);
    deaf |= strcmp(argv[i], "deaf") == 0;
    mute |= strcmp(argv[i], "mute") == 0;
    tree |= strcmp(argv[i], "tree") == 0;
    stops_parent |= strcmp(argv[i], "stops_parent") == 0;
  }
  for (size_t i = 0; i < sizeof kSignals / sizeof *kSignals; ++i) signal(kSignals[i], on_signal);
  if (tree) have_a_tree();
  for (int i = 0; i < orphans; ++i) leave_orphan();
  if (status >= 0 || by_signal != 0) {
    usleep(300 * 1000);
    if (by_signal != 0) signal(by_signal, SIG_DFL), raise(by_signal);
    _exit(status);
  }
  for (;;) {
    struct pollfd ready = {3, POLLIN, 0};
    if (mute) {
      pause();
    } else if (poll(&ready, 1, -1) > 0) {
      answer();
    }
  }
}
