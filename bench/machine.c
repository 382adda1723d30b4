/* machine: see machine.h. */
#include "bench/machine.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

static void read_kernel(struct jt_machine *m)
{
	struct utsname u;

	if (uname(&u) == 0)
		snprintf(m->kernel, sizeof(m->kernel), "%.40s %.60s %.20s",
			 u.sysname, u.release, u.machine);
}

static void read_cpu(struct jt_machine *m)
{
	FILE *f = fopen("/proc/cpuinfo", "re");
	char line[256], *colon;

	if (!f)
		return;
	while (!m->cpu[0] && fgets(line, sizeof(line), f)) {
		colon = strchr(line, ':');
		if (!colon || strncmp(line, "model name", 10) != 0)
			continue;
		line[strcspn(line, "\n")] = '\0';
		snprintf(m->cpu, sizeof(m->cpu), "%.100s", colon + 2);
	}
	fclose(f);
}

/* Of `always [madvise] never`, the word in brackets. */
static void read_choice(const char *path, char out[32])
{
	FILE *f = fopen(path, "re");

	if (!f)
		return;
	if (fscanf(f, "%*[^[][%31[^]]", out) != 1 && (rewind(f), 1) &&
	    fscanf(f, "[%31[^]]", out) != 1)
		out[0] = '\0';
	fclose(f);
}

/* "NAME: what the kernel says" of each flaw that this CPU has. */
static void read_mitigations(struct jt_machine *m)
{
	static const char dir[] = "/sys/devices/system/cpu/vulnerabilities";
	struct dirent **names = NULL;
	int n = scandir(dir, &names, NULL, alphasort);
	size_t at = 0, room = sizeof(m->mitigations);

	for (int i = 0; i < n; i++) {
		char path[512], text[200] = "";
		FILE *f;

		snprintf(path, sizeof(path), "%s/%s", dir, names[i]->d_name);
		f = names[i]->d_name[0] == '.' ? NULL : fopen(path, "re");
		if (f && fgets(text, sizeof(text), f) && at < room &&
		    strncmp(text, "Not affected", 12) != 0) {
			text[strcspn(text, "\n;")] = '\0';
			at += (size_t)snprintf(m->mitigations + at, room - at,
					       "%s%s: %s", at ? ", " : "",
					       names[i]->d_name, text);
		}
		if (f)
			fclose(f);
		free(names[i]);
	}
	free(names);
}

static void choose_cpus(struct jt_machine *m)
{
	cpu_set_t set;

	m->server_cpu = m->client_cpu = -1;
	if (sched_getaffinity(0, sizeof(set), &set))
		return;
	m->cpus = (unsigned)CPU_COUNT(&set);
	for (int i = 0; i < CPU_SETSIZE && m->client_cpu < 0; i++) {
		if (!CPU_ISSET(i, &set))
			continue;
		if (m->server_cpu < 0)
			m->server_cpu = i;
		else
			m->client_cpu = i;
	}
	if (m->client_cpu < 0)
		m->client_cpu = m->server_cpu;
}

void jt_machine_read(struct jt_machine *m)
{
	memset(m, 0, sizeof(*m));
	read_kernel(m);
	read_cpu(m);
	read_choice("/sys/kernel/mm/transparent_hugepage/shmem_enabled",
		    m->thp_shmem);
	read_choice("/sys/kernel/mm/transparent_hugepage/enabled", m->thp);
	read_mitigations(m);
	m->page_bytes = (unsigned)sysconf(_SC_PAGESIZE);
	m->memory_gb = (double)sysconf(_SC_PHYS_PAGES) * m->page_bytes / 1e9;
	choose_cpus(m);
}

void jt_machine_times(const struct jt_machine *m, struct jt_machine_times *t)
{
	uint64_t tick_ns = 1000000000u / (unsigned long)sysconf(_SC_CLK_TCK);
	unsigned long long idle, wait, stolen;
	FILE *f = fopen("/proc/stat", "re");
	char line[256];
	int cpu;

	memset(t, 0, sizeof(*t));
	while (f && fgets(line, sizeof(line), f)) {
		/* user nice system idle iowait irq softirq steal */
		if (sscanf(line, "cpu%d %*u %*u %*u %llu %llu %*u %*u %llu",
			   &cpu, &idle, &wait, &stolen) != 4)
			continue;
		if (cpu != m->server_cpu && cpu != m->client_cpu)
			continue;
		t->idle_ns += (idle + wait) * tick_ns;
		t->stolen_ns += stolen * tick_ns;
	}
	if (f)
		fclose(f);
}

double jt_machine_stolen(const struct jt_machine *m,
			 const struct jt_machine_times *from, uint64_t from_ns)
{
	uint64_t passed_ns = jt_machine_now_ns() - from_ns;
	struct jt_machine_times to;

	jt_machine_times(m, &to);
	return (double)(to.stolen_ns - from->stolen_ns) /
	       (double)(passed_ns + 1);
}

uint64_t jt_machine_own_cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int jt_machine_pin(int cpu)
{
	cpu_set_t set;

	if (cpu < 0)
		return 0;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) ? -errno : 0;
}
