/** System calls that name files by path. Root, working directory and umask are shared by all generations. */
import type { SyscallName } from '../../linux/syscall-numbers.js';
import { direct, path, type Treatment } from '../treatment.js';

const ASKS_WHO = 'a path through /proc/self, /proc/thread-self, /dev/fd or /dev/std* depends on who asks';
const TEXTUAL =
  '/proc/self and such are recognised by their text: not through a symbolic link or a relative path';
const CHANGES =
  'changes the file system; a descriptor under /proc/self/fd is the same file for every generation';
const ATTRIBUTES = 'attributes of a file, which do not depend on who asks';
const SHARED_FS = 'root, working directory and umask are shared by all generations';
const MOUNTS = 'the mount namespace is shared by all generations';

export const PATHS = {
  open: path(ASKS_WHO, { partial: TEXTUAL }),
  openat: path(ASKS_WHO, { partial: TEXTUAL }),
  openat2: path(ASKS_WHO, { partial: TEXTUAL }),
  creat: path(ASKS_WHO, { partial: TEXTUAL }),
  stat: path(ASKS_WHO, { partial: TEXTUAL }),
  lstat: path(ASKS_WHO, { partial: TEXTUAL }),
  newfstatat: path(ASKS_WHO, { partial: TEXTUAL }),
  statx: path(ASKS_WHO, { partial: TEXTUAL }),
  statfs: path(ASKS_WHO, { partial: TEXTUAL }),
  access: path(ASKS_WHO, { partial: TEXTUAL }),
  faccessat: path(ASKS_WHO, { partial: TEXTUAL }),
  faccessat2: path(ASKS_WHO, { partial: TEXTUAL }),
  readlink: path(ASKS_WHO, { partial: TEXTUAL }),
  readlinkat: path(ASKS_WHO, { partial: TEXTUAL }),
  chdir: path(ASKS_WHO, { partial: TEXTUAL }),
  inotify_add_watch: path(ASKS_WHO, { partial: TEXTUAL }),
  fanotify_mark: path(ASKS_WHO, { partial: TEXTUAL }),
  name_to_handle_at: path(ASKS_WHO, { partial: TEXTUAL }),

  rename: direct(CHANGES),
  renameat: direct(CHANGES),
  renameat2: direct(CHANGES),
  mkdir: direct(CHANGES),
  mkdirat: direct(CHANGES),
  rmdir: direct(CHANGES),
  link: direct(CHANGES),
  linkat: direct(CHANGES),
  unlink: direct(CHANGES),
  unlinkat: direct(CHANGES),
  symlink: direct(CHANGES),
  symlinkat: direct(CHANGES),
  mknod: direct(CHANGES),
  mknodat: direct(CHANGES),
  truncate: direct(CHANGES),
  chmod: direct(CHANGES),
  fchmodat: direct(CHANGES),
  fchmodat2: direct(CHANGES),
  chown: direct(CHANGES),
  lchown: direct(CHANGES),
  fchownat: direct(CHANGES),
  utime: direct(CHANGES),
  utimes: direct(CHANGES),
  futimesat: direct(CHANGES),
  utimensat: direct(CHANGES),

  setxattr: direct(ATTRIBUTES),
  lsetxattr: direct(ATTRIBUTES),
  getxattr: direct(ATTRIBUTES),
  lgetxattr: direct(ATTRIBUTES),
  listxattr: direct(ATTRIBUTES),
  llistxattr: direct(ATTRIBUTES),
  removexattr: direct(ATTRIBUTES),
  lremovexattr: direct(ATTRIBUTES),
  setxattrat: direct(ATTRIBUTES),
  getxattrat: direct(ATTRIBUTES),
  listxattrat: direct(ATTRIBUTES),
  removexattrat: direct(ATTRIBUTES),
  file_getattr: direct(ATTRIBUTES),
  file_setattr: direct(ATTRIBUTES),

  umask: direct(SHARED_FS),
  getcwd: direct(SHARED_FS),
  fchdir: direct(SHARED_FS),
  chroot: direct(SHARED_FS),
  pivot_root: direct(SHARED_FS),
  mount: direct(MOUNTS),
  umount2: direct(MOUNTS),
  open_tree: direct(MOUNTS),
  open_tree_attr: direct(MOUNTS),
  move_mount: direct(MOUNTS),
  mount_setattr: direct(MOUNTS),
  fsopen: direct(MOUNTS),
  fsconfig: direct(MOUNTS),
  fsmount: direct(MOUNTS),
  fspick: direct(MOUNTS),
  statmount: direct(MOUNTS),
  listmount: direct(MOUNTS),
  open_by_handle_at: direct('opens a file by its handle into the shared file table'),
} satisfies Partial<Record<SyscallName, Treatment>>;
