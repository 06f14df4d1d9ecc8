/** Error numbers of include/uapi/asm-generic/errno*.h that Atlas names, and the kernel-internal restarts. */
export const EPERM = 1;
export const ENOENT = 2;
export const ESRCH = 3;
export const EINTR = 4;
export const ENXIO = 6;
export const ENOEXEC = 8;
export const EBADF = 9;
export const ECHILD = 10;
export const EAGAIN = 11;
export const ENOMEM = 12;
export const EACCES = 13;
export const EFAULT = 14;
export const EEXIST = 17;
export const EINVAL = 22;
export const ENOSYS = 38;
export const ECONNREFUSED = 111;

/** include/linux/errno.h: seen in `rax` at a stop, never by a program. */
export const ERESTARTSYS = 512;
export const ERESTARTNOINTR = 513;
export const ERESTARTNOHAND = 514;
export const ERESTART_RESTARTBLOCK = 516;

/** Whether a system call's result asks the kernel to restart the call once signals were looked at. */
export const isRestart = (result: number): boolean =>
  result === -ERESTARTSYS ||
  result === -ERESTARTNOINTR ||
  result === -ERESTARTNOHAND ||
  result === -ERESTART_RESTARTBLOCK;

/** Whether a raw system-call result is an error (asm/unistd: -4095..-1). */
export const isError = (result: number): boolean => result < 0 && result >= -4095;
