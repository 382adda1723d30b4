/*
 * random: the kernel's random bytes, fetched in larger pieces.
 *
 * libsodium asks the kernel for each token's 64 bytes, which is a third of the
 * time of making a million. This puts a pool of 4 KiB behind randombytes_buf();
 * bytes are wiped as they are given out.
 *
 * For a process that forks no more: a child would hand out the same bytes.
 */
#ifndef JT_ADMIN_RANDOM_H
#define JT_ADMIN_RANDOM_H

/* From now on, in the whole process. */
void jt_random_pool(void);

#endif
