/* Threads that wait for each other, and descriptors of time and signals. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define THREADS 20

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int arrived;

static void *work(void *arg)
{
	pthread_mutex_lock(&lock);
	arrived++;
	pthread_cond_signal(&cond);
	pthread_mutex_unlock(&lock);
	usleep(1000);
	return arg;
}

int main(void)
{
	struct itimerspec soon = { { 0, 0 }, { 0, 1000000 } };
	struct timespec moment = { 0, 1000 };
	pthread_t threads[THREADS];
	unsigned long expired;
	char info[128];
	sigset_t set;
	int fd;

	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], 0, work, 0);
	pthread_mutex_lock(&lock);
	while (arrived < THREADS)
		pthread_cond_wait(&cond, &lock);
	pthread_mutex_unlock(&lock);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], 0);
	fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	timerfd_settime(fd, 0, &soon, 0);
	if (read(fd, &expired, sizeof(expired)) < 0)
		return 1;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, 0);
	fd = signalfd(-1, &set, 0);
	raise(SIGUSR1);
	if (read(fd, info, sizeof(info)) < 0)
		return 1;
	clock_nanosleep(CLOCK_REALTIME, 0, &moment, 0);
	printf("%d\n", arrived);
	return 0;
}
